// Slow, obvious reference for one S3 server access log line: cut the line into a vector of tokens first, then
// apply one rule after the other to copies of strings. It shares no code and no method with
// tickline/logs/s3_access.hpp, and is the oracle of its unit tests and of its fuzzer. The same rules, as
// regular expressions, stand in python/tickline/reference/s3_access.py.
//
// Fields and their order: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
// Quotes inside quoted fields are not escaped there, which is what most of the rules are about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reference/s3_access_steps.hpp"

namespace tickline::reference {

struct reference_record {
    std::optional<std::string> bucket_owner, bucket;
    std::optional<std::int64_t> time_ms;
    std::optional<std::string> remote_ip, requester, request_id, operation, key, request_uri;
    std::optional<std::uint64_t> http_status;
    std::optional<std::string> error_code;
    std::optional<std::uint64_t> bytes_sent, object_size, total_time_ms, turnaround_time_ms;
    std::optional<std::string> referrer, user_agent, version_id, host_id, signature_version, cipher_suite,
        authentication_type, host_header, tls_version, access_point_arn, acl_required, source_region;
};

struct reference_result {
    std::string outcome;  // "accepted", "rejected" or "filtered"
    std::string reason;   // "" if accepted
    reference_record record;
    bool ambiguous_agent = false;
};

// What to keep. An unset or empty member keeps everything.
struct reference_filter {
    std::optional<std::set<std::string>> operations;
    std::optional<std::set<std::uint64_t>> statuses;
    std::vector<std::pair<std::string, std::size_t>> key_rules;  // prefix, how many parts are kept (0: all)
    std::function<bool(const std::string&)> excluded_ip;
    std::optional<std::int64_t> since_ms;  // inclusive
    std::optional<std::int64_t> until_ms;  // exclusive
    std::set<int> excluded_years;          // UTC
    std::size_t max_line_bytes = 16U * 1024U * 1024U;
};

class reference_parser {
  public:
    reference_parser(std::string_view line, const reference_filter& filter) : line_(line), filter_(filter) {}

    reference_result run() {
        if (judge()) {
            result_.outcome = "accepted";
        } else {
            result_.record = {};
            result_.ambiguous_agent = false;
        }
        return result_;
    }

  private:
    // All of these give false when the line is decided and no accepted record.
    bool rejected(const char* reason) {
        result_.outcome = "rejected";
        result_.reason = reason;
        return false;
    }
    bool filtered(const char* reason) {
        result_.outcome = "filtered";
        result_.reason = reason;
        return false;
    }

    bool judge() {
        if (line_.find_first_not_of(' ') == std::string::npos) return filtered("blank");
        if (line_.size() > filter_.max_line_bytes) return rejected("line_too_long");
        tokens_ = steps::tokenise(line_);
        if (tokens_.size() < 3) return rejected("cut");
        if (is_spliced()) return rejected("spliced");
        result_.record.bucket_owner = steps::text_or_null(tokens_[0].text);
        result_.record.bucket = steps::text_or_null(tokens_[1].text);
        return read_time() && read_who_and_what() && first_filters() && read_request() && second_filter() &&
               read_agents() && read_tail();
    }

    // A second "bucket [time" behind the first byte of this record's own time.
    bool is_spliced() const {
        const std::string& bucket = tokens_[1].text;
        if (steps::is_null(bucket)) return false;
        const std::string joint = " " + bucket + " ";
        for (std::size_t at = line_.find(joint, tokens_[2].begin + 1); at != std::string::npos;
             at = line_.find(joint, at + 1)) {
            if (steps::starts_with_clock(line_.substr(at + joint.size(), 40))) return true;
        }
        return false;
    }

    // Leaves tokens_[next_] as the address.
    bool read_time() {
        const steps::token& third = tokens_[2];
        if (steps::is_null(third.text)) {
            next_ = 3;
        } else {
            result_.record.time_ms = steps::time_of(line_.substr(third.begin, 28));
            const std::size_t end = third.begin + 28;
            if (!result_.record.time_ms || (end < line_.size() && line_[end] != ' '))
                return rejected("bad_time");
            next_ = 4;  // the time holds one blank, and so is two tokens
        }
        if (tokens_.size() <= next_) return rejected("cut");
        result_.record.remote_ip = steps::text_or_null(tokens_[next_].text);
        ++next_;
        return true;
    }

    // Requester, request id, operation, key. Leaves tokens_[next_] as the first behind the key.
    bool read_who_and_what() {
        const std::size_t first = next_;
        std::size_t at = first;
        bool stopped = false;
        for (; at < tokens_.size(); ++at) {
            const std::string& text = tokens_[at].text;
            if (steps::starts_with_clock(text)) return rejected("spliced");
            if (steps::is_operation(text)) break;
            stopped = text[0] == '"' && text != "\"-\"";
            if (stopped) break;
        }
        const std::size_t walked = at - first;
        if (at < tokens_.size() && !stopped) {
            if (walked == 0) return rejected("bad_operation");
            result_.record.operation = tokens_[at].text;
            // An empty requester (two blanks with nothing between) is the empty text, not a missing value.
            const std::string requester =
                walked == 1 ? ""
                            : line_.substr(tokens_[first].begin, tokens_[at - 2].end - tokens_[first].begin);
            result_.record.requester = steps::text_or_null(requester);
            result_.record.request_id = steps::text_or_null(tokens_[at - 1].text);
        } else if (walked >= 3 && steps::is_null(tokens_[first + 2].text)) {
            at = first + 2;
            result_.record.requester = steps::text_or_null(tokens_[first].text);
            result_.record.request_id = steps::text_or_null(tokens_[first + 1].text);
        } else {
            return rejected(!stopped && walked < 3 ? "cut" : "bad_operation");
        }
        if (at + 1 >= tokens_.size()) return rejected("cut");
        result_.record.key = steps::text_or_null(tokens_[at + 1].text);
        next_ = at + 2;
        return true;
    }

    bool first_filters() {
        reference_record& record = result_.record;
        if (filter_.operations && (!record.operation || filter_.operations->count(*record.operation) == 0)) {
            return filtered("operation");
        }
        if (!apply_key_rules()) return filtered("key");
        if (filter_.excluded_ip && record.remote_ip && filter_.excluded_ip(*record.remote_ip))
            return filtered("ip");
        if (!record.time_ms) {
            // A record without a time cannot lie inside an interval, but lies in no excluded year either.
            return filter_.since_ms || filter_.until_ms ? filtered("time") : true;
        }
        if (filter_.since_ms && *record.time_ms < *filter_.since_ms) return filtered("time");
        if (filter_.until_ms && *record.time_ms >= *filter_.until_ms) return filtered("time");
        if (!filter_.excluded_years.empty() &&
            filter_.excluded_years.count(steps::year_of(*record.time_ms)) > 0) {
            return filtered("time");
        }
        return true;
    }

    bool apply_key_rules() {
        if (filter_.key_rules.empty()) return true;
        if (!result_.record.key) return false;
        const std::string key = *result_.record.key;
        for (const auto& [prefix, parts] : filter_.key_rules) {
            if (key != prefix && key.substr(0, prefix.size() + 1) != prefix + "/") continue;
            const std::vector<std::string> all = steps::split(key, '/');
            if (parts > 0 && parts < all.size()) {
                std::string kept = all[0];
                for (std::size_t i = 1; i < parts; ++i) kept += "/" + all[i];
                result_.record.key = kept;
            }
            return true;
        }
        return false;
    }

    bool read_request() {
        if (next_ >= tokens_.size()) return rejected("cut");
        const steps::token& token = tokens_[next_];
        std::optional<steps::status_block> block;
        if (steps::is_null(token.text)) {
            block = steps::status_block_at(line_, token.end, true);
            if (!block) return rejected("cut");
        } else if (token.text[0] == '"') {
            const std::vector<std::size_t> quotes = closing_quotes(token.begin);
            if (quotes.size() != 1) return rejected(quotes.empty() ? "cut" : "ambiguous");
            block = steps::status_block_at(line_, quotes[0] + 1, false);
            result_.record.request_uri = line_.substr(token.begin + 1, quotes[0] - token.begin - 1);
        } else {
            return rejected("bad_request_uri");
        }
        reference_record& record = result_.record;
        if (!steps::to_number(block->fields[2], record.bytes_sent) ||
            !steps::to_number(block->fields[3], record.object_size) ||
            !steps::to_number(block->fields[4], record.total_time_ms) ||
            !steps::to_number(block->fields[5], record.turnaround_time_ms)) {
            return rejected("number_overflow");
        }
        steps::to_number(block->fields[0], record.http_status);
        record.error_code = steps::text_or_null(block->fields[1]);
        rest_ = line_.substr(block->end);
        return true;
    }

    // The quotes that could close the request-URI that opens at `open`: one is what it takes.
    std::vector<std::size_t> closing_quotes(std::size_t open) const {
        // A request target holds no blank (RFC 9112 section 3), so a version as third token ends the request
        // line whatever the client wrote into target, referrer or user agent.
        if (next_ + 2 < tokens_.size() && steps::looks_like(tokens_[next_ + 2].text, "HTTP/9.9\"")) {
            const std::size_t quote = tokens_[next_ + 2].end - 1;
            if (steps::status_block_at(line_, quote + 1, false)) return {quote};
        }
        std::vector<std::size_t> closing;
        std::vector<std::size_t> versioned;
        for (std::size_t at = open + 1; at < line_.size(); ++at) {
            if (line_[at] != '"' || !steps::status_block_at(line_, at + 1, false)) continue;
            closing.push_back(at);
            if (at - open > 9 && steps::looks_like(line_.substr(at - 9, 9), " HTTP/9.9"))
                versioned.push_back(at);
        }
        return versioned.empty() ? closing : versioned;
    }

    bool second_filter() {
        if (!filter_.statuses) return true;
        const auto status = result_.record.http_status;
        return status && filter_.statuses->count(*status) > 0 ? true : filtered("status");
    }

    // Referrer and user agent. Leaves in rest_ what stands behind them.
    bool read_agents() {
        const std::size_t last = rest_.rfind('"');
        if (!result_.record.request_uri && only_nulls()) {
            // S3's own records hold no client's text: `"-" "-" "-"` is three nulls and not a user agent.
            rest_.clear();
            return true;
        }
        if (last == std::string::npos) {
            const std::vector<steps::token> bare = steps::tokenise(rest_);
            if (bare.size() < 2) return rejected("cut");
            return agents(bare[0].text, bare[1].text, rest_.substr(bare[1].end));
        }
        if (last + 1 < rest_.size() && rest_[last + 1] != ' ') return rejected("cut");
        const std::string head = rest_.substr(0, last + 1);
        const std::string behind = rest_.substr(last + 1);
        if (head[0] != '"') {
            const std::string referrer = steps::split(head, ' ')[0];
            const std::size_t open = referrer.size() + 1;
            if (referrer.empty() || referrer.find('"') != std::string::npos) return rejected("cut");
            if (open >= last || head[open] != '"') return rejected("cut");
            return agents(referrer, head.substr(open + 1, last - open - 1), behind);
        }
        std::vector<std::size_t> boundaries;
        for (std::size_t at = 1; at + 2 <= last; ++at) {
            if (head.compare(at, 3, "\" \"") == 0) boundaries.push_back(at);
        }
        if (!boundaries.empty()) {
            const std::size_t close = boundaries[0];
            if (last <= close + 2) return rejected("cut");
            result_.ambiguous_agent = boundaries.size() > 1;
            return agents(head.substr(1, close - 1), head.substr(close + 3, last - close - 3), behind);
        }
        const std::vector<steps::token> bare = steps::tokenise(behind);
        if (last == 0 || bare.empty()) return rejected("cut");
        return agents(head.substr(1, last - 1), bare[0].text, behind.substr(bare[0].end));
    }

    bool only_nulls() const {
        const std::vector<steps::token> tokens = steps::tokenise(rest_);
        for (const steps::token& token : tokens) {
            if (!steps::is_null(token.text)) return false;
        }
        return tokens.size() >= 2;
    }

    bool agents(const std::string& referrer, const std::string& user_agent, const std::string& rest) {
        if (referrer != "-") result_.record.referrer = referrer;
        if (user_agent != "-") result_.record.user_agent = user_agent;
        rest_ = rest;
        return true;
    }

    bool read_tail() {
        std::vector<std::string> tail;
        for (const steps::token& token : steps::tokenise(rest_)) tail.push_back(token.text);
        const auto signature = [](const std::string& text) {
            return text == "-" || text.substr(0, 4) == "SigV";
        };
        // March 2019: for a while S3 wrote the requester's principal id between version id and host id.
        if (tail.size() >= 4 && !signature(tail[2]) && signature(tail[3])) tail.erase(tail.begin() + 1);
        reference_record& record = result_.record;
        std::optional<std::string>* const fields[] = {&record.version_id,          &record.host_id,
                                                      &record.signature_version,   &record.cipher_suite,
                                                      &record.authentication_type, &record.host_header,
                                                      &record.tls_version,         &record.access_point_arn,
                                                      &record.acl_required,        &record.source_region};
        for (std::size_t i = 0; i < std::size(fields) && i < tail.size(); ++i) {
            *fields[i] = steps::text_or_null(tail[i]);
        }
        return true;
    }

    std::string line_;
    const reference_filter& filter_;
    reference_result result_;
    std::vector<steps::token> tokens_;
    std::size_t next_ = 0;
    std::string rest_;
};

// `line` is what stands before '\n'; one '\r' at its end does not belong to the line.
inline reference_result reference_parse(std::string_view line, const reference_filter& filter = {}) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return reference_parser(line, filter).run();
}

// Lines of a whole file: split at '\n' and nothing else; the last newline may lack.
inline std::vector<std::string> reference_lines(const std::string& data) {
    std::vector<std::string> lines = steps::split(data, '\n');
    if (lines.back().empty()) lines.pop_back();
    return lines;
}

}  // namespace tickline::reference
