// Amazon S3 server access log lines: one record, one line, one call.
//
// Format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
// Amazon's page lists the fields but no grammar, and quotes inside quoted fields are NOT escaped, so counting
// quotes is never right. These are the rules, in the order in which a line is judged; the first thing wrong
// decides.
//
// Blank is the byte 0x20 alone; a token is a maximal run of other bytes; null is `-` or `"-"` or a field not
// there.
//
//  0  A line of no bytes, or of blanks only, is `blank`. One '\r' before the newline does not belong to the
//  line. S  The line is `spliced`, whatever else it is, if behind the start of its time stands once more
//     ` BUCKET [dd/Mon/yyyy:hh:mm:ss` with this record's own bucket: a second record begins inside it.
//  1  owner, bucket, time, IP, with one or more blanks before each; missing ones: `cut`.
//  2  time: 28 bytes `[dd/Mon/yyyy:hh:mm:ss +zzzz]` and then a blank or the end, or null; else `bad_time`.
//  3  IP: any token.
//  4  operation: the first token behind the IP of the form WORD.WORD.WORD(.WORD), WORD = [A-Z0-9_]+,
//  beginning with a
//     letter. The token before it is the request id; all between IP and request id is the requester, which
//     may hold blanks (CloudFront origin access identities) or be empty. The walk ends at a token that starts
//     with a quote and is not `"-"`. A token that starts like a time on the way: `spliced`. No such token:
//     the third token behind the IP if it is null; else `bad_operation` (`cut` where the line ends before a
//     third token).
//  5  key: the next token; the client wrote it, but S3 percent-encodes blanks and quotes in it.
//  6  request-URI: null, or `"METHOD target HTTP/d.d"`. A quote CAN CLOSE it if behind it stand: status (ddd
//  or -),
//     error (no quote in it), bytes, size, total time, turn-around time (digits or -), each behind one blank,
//     then a blank and `"` or `-`. A target holds no blank (RFC 9112 section 3), so if the third token of the
//     field is `HTTP/d.d"` and its quote can close, it closes: what a client writes into target, referrer or
//     user agent cannot move status, bytes or key. Else (blanks in the target, or no version): of the quotes
//     that can close and stand behind ` HTTP/d.d` the only one; if there is none, of all that can close the
//     only one. Several: `ambiguous`. None: `cut`. Behind a null request-URI each `-` of the status block may
//     also be `"-"`.
//  7  referrer and user agent: the tail behind them holds no quote, so the user agent ends at the line's last
//  quote.
//     The boundary between them is the first `" "` (several: the record is kept, ambiguous_agent is set).
//     Either may be a bare token, as `-` is. Missing, or the last quoted field not ended: `cut` (fewer than
//     17 fields). Where the request-URI is null and only nulls follow the status block, quoted ones too, all
//     of these are null.
//  8  version id, host id, signature version, cipher suite, authentication type, host header, TLS version,
//  access
//     point ARN, ACL required, source region: as many as there are. Further tokens are ignored. Lines of
//     March 2019 have an extra token before the host id; it is told by the signature version that stands one
//     place too late.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "tickline/error.hpp"
#include "tickline/logs/lines.hpp"  // who parses lines has lines: one include is enough
#include "tickline/text/fields.hpp"
#include "tickline/text/number.hpp"
#include "tickline/time/parse.hpp"

namespace tickline {
inline namespace v0 {

// One parsed line. Views point into the line that was parsed and live as long as its bytes do.
// A null text field has data() == nullptr (tickline::is_null); `""` is empty, but not null.
struct s3_access_record {
    std::string_view bucket_owner, bucket;
    std::optional<std::int64_t> time_ms;  // milliseconds since 1970-01-01 UTC
    std::string_view remote_ip, requester, request_id, operation, key, request_uri;
    std::optional<std::uint16_t> http_status;
    std::string_view error_code;
    std::optional<std::uint64_t> bytes_sent, object_size, total_time_ms, turnaround_time_ms;
    std::string_view referrer, user_agent, version_id, host_id, signature_version, cipher_suite;
    std::string_view authentication_type, host_header, tls_version, access_point_arn, acl_required,
        source_region;
    std::int32_t zone_offset_ms = 0;  // of the time as logged, ahead of UTC; S3 itself always writes +0000
    bool ambiguous_agent = false;     // where the referrer ends could not be told for sure
    // From s3_access_scanner only: the line as it stands, without its end, and its number from 1 among all
    // that the scanner has seen.
    std::string_view line_text;
    std::uint64_t line_number = 0;
};

namespace detail {

// `[dd/Mon/yyyy:hh:mm:ss`: the shape, not the values; what tells that a second record begins.
constexpr bool looks_like_s3_time(std::string_view text) noexcept {
    constexpr std::string_view shape = "[00/aaa/0000:00:00:00";
    if (text.size() < shape.size()) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const char c = text[i];
        const bool digit = c >= '0' && c <= '9';
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (shape[i] == '0' ? !digit : shape[i] == 'a' ? !letter : c != shape[i]) return false;
    }
    return true;
}

// WORD.WORD.WORD or WORD.WORD.WORD.WORD, the form of every operation S3 has written so far.
constexpr bool is_s3_operation(std::string_view token) noexcept {
    if (token.empty() || token.front() < 'A' || token.front() > 'Z') return false;
    int dots = 0;
    char before = '.';
    for (const char c : token) {
        if (c == '.') {
            if (before == '.') return false;
            ++dots;
        } else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
        before = c;
    }
    return before != '.' && (dots == 2 || dots == 3);
}

// The value between the quotes of a quoted field: null if it is a dash. (`""-""` is the text `"-"`.)
constexpr std::string_view quoted_value(std::string_view text) noexcept {
    return text == "-" ? std::string_view{} : text;
}

constexpr bool is_dash(std::string_view token) noexcept { return token == "-" || token == "\"-\""; }

constexpr std::string_view between(const char* first, const char* last) noexcept {
    return {first, static_cast<std::size_t>(last - first)};
}

// The token at the front of rest, which must follow at once: no blank is skipped. Empty if rest starts with a
// blank.
constexpr std::string_view token_here(std::string_view rest) noexcept {
    return rest.substr(0, rest.find(' '));
}

// Rule S. Written for the rare line that holds a second '[' at all.
inline bool is_spliced_s3_line(std::string_view line) noexcept {
    std::string_view rest = line;
    next_token(rest);
    const std::string_view bucket = next_token(rest);
    const std::string_view time = next_token(rest);
    if (time.empty() || is_dash(bucket)) return false;
    const char* const first = time.data() + 1;
    const char* const last = line.data() + line.size();
    for (const char* p = first; p < last; ++p) {
        p = static_cast<const char*>(std::memchr(p, '[', static_cast<std::size_t>(last - p)));
        if (p == nullptr) return false;
        if (static_cast<std::size_t>(p - first) < bucket.size() + 2 || p[-1] != ' ') continue;
        const char* const name = p - 1 - bucket.size();
        if (name[-1] == ' ' && between(name, p - 1) == bucket && looks_like_s3_time(between(p, last)))
            return true;
    }
    return false;
}

// The six fields behind the request-URI, as they stand in the line.
struct s3_status_block {
    std::string_view status, error, bytes, size, total_time, turnaround;
    const char* end;  // behind the blank that follows the turn-around time
};

// Reads the status block at `rest`, which starts behind the closing quote (or the null request-URI).
// With null_uri each `-` may also be `"-"`, and any field may follow; else a quote or `-` must.
constexpr bool match_status_block(std::string_view rest, bool null_uri, s3_status_block& block) noexcept {
    std::string_view* const fields[] = {&block.status, &block.error,      &block.bytes,
                                        &block.size,   &block.total_time, &block.turnaround};
    for (std::string_view* field : fields) {
        if (rest.empty() || rest.front() != ' ') return false;
        rest.remove_prefix(1);
        *field = token_here(rest);
        rest.remove_prefix(field->size());
        if (field->empty()) return false;
        if (*field == "-" || (null_uri && *field == "\"-\"")) continue;
        if (field == &block.error) {
            if (field->find('"') != std::string_view::npos) return false;
            continue;
        }
        if (field == &block.status && field->size() != 3) return false;
        for (const char c : *field) {
            if (c < '0' || c > '9') return false;
        }
    }
    if (rest.size() < 2 || rest.front() != ' ') return false;
    block.end = rest.data() + 1;
    if (null_uri) return rest.find_first_not_of(' ') != std::string_view::npos;
    return *block.end == '"' || *block.end == '-';
}

// Nine bytes `HTTP/d.d"`.
constexpr bool is_http_version_and_quote(std::string_view token) noexcept {
    return token.size() == 9 && token.substr(0, 5) == "HTTP/" && token[5] >= '0' && token[5] <= '9' &&
           token[6] == '.' && token[7] >= '0' && token[7] <= '9' && token[8] == '"';
}

// A quote that can close the request-URI opened at `open`, by rule 6; nullptr with `error` set where there is
// none.
constexpr const char* close_request_uri(std::string_view from_open, s3_status_block& block,
                                        errc& error) noexcept {
    const char* const last = from_open.data() + from_open.size();
    std::string_view rest = from_open;
    next_token(rest);
    next_token(rest);
    const std::string_view third = next_token(rest);
    if (is_http_version_and_quote(third) && match_status_block(rest, false, block)) return &third.back();

    // The slow way: every quote of the line is tried, the ones behind a version first.
    const char* found[2] = {nullptr, nullptr};
    int counts[2] = {0, 0};
    for (std::size_t at = from_open.find('"', 1); at != std::string_view::npos;
         at = from_open.find('"', at + 1)) {
        const char* const quote = from_open.data() + at;
        s3_status_block candidate{};
        if (!match_status_block(between(quote + 1, last), false, candidate)) continue;
        const bool version =
            at >= 10 && from_open[at - 9] == ' ' && is_http_version_and_quote(from_open.substr(at - 8, 9));
        const int kind = version ? 0 : 1;
        found[kind] = quote;
        ++counts[kind];
    }
    const int kind = counts[0] > 0 ? 0 : 1;
    if (counts[kind] != 1) {
        error = counts[kind] == 0 ? errc::cut : errc::ambiguous;
        return nullptr;
    }
    match_status_block(between(found[kind] + 1, last), false, block);
    return found[kind];
}

// Rule 8: the fields behind the user agent. The ones that are not there become null.
constexpr void read_s3_tail(std::string_view tail, s3_access_record& record) noexcept {
    constexpr int known = 10;
    std::string_view tokens[known + 1];
    int count = 0;
    while (count <= known && !(tokens[count] = next_token(tail)).empty()) ++count;
    const auto signature = [](std::string_view token) {
        return token == "-" || token.substr(0, 4) == "SigV";
    };
    const bool extra = count >= 4 && !signature(tokens[2]) && signature(tokens[3]);
    std::string_view* const fields[known] = {&record.version_id,          &record.host_id,
                                             &record.signature_version,   &record.cipher_suite,
                                             &record.authentication_type, &record.host_header,
                                             &record.tls_version,         &record.access_point_arn,
                                             &record.acl_required,        &record.source_region};
    for (int i = 0; i < known; ++i) {
        const int from = i == 0 || !extra ? i : i + 1;
        *fields[i] = from < count ? null_if_dash(tokens[from]) : std::string_view();
    }
}

// Reads one line in three steps, so that a filter can end the work early. Each step returns errc::ok or what
// is wrong.
class s3_line_reader {
  public:
    constexpr explicit s3_line_reader(std::string_view line) noexcept
        : rest_(line), last_(line.data() + line.size()) {}

    // Rules 1 to 5: owner to key.
    constexpr errc head(s3_access_record& record) noexcept {
        record.bucket_owner = null_if_dash(next_token(rest_));
        const std::string_view bucket = next_token(rest_);
        record.bucket = null_if_dash(bucket);
        if (bucket.empty()) return errc::cut;
        if (const errc error = time(record); error != errc::ok) return error;
        const std::string_view ip = next_token(rest_);
        if (ip.empty()) return errc::cut;
        record.remote_ip = null_if_dash(ip);
        if (const errc error = operation(record); error != errc::ok) return error;
        const std::string_view key = next_token(rest_);
        if (key.empty()) return errc::cut;
        record.key = null_if_dash(key);
        return errc::ok;
    }

    // Rule 6: request-URI and the six fields behind it.
    constexpr errc request(s3_access_record& record) noexcept {
        skip_blanks();
        if (rest_.empty()) return errc::cut;
        s3_status_block block{};
        const std::string_view token = token_here(rest_);
        if (is_dash(token)) {
            record.request_uri = {};
            if (!match_status_block(rest_.substr(token.size()), true, block)) return errc::cut;
        } else if (rest_.front() == '"') {
            errc error = errc::ok;
            const char* const close = close_request_uri(rest_, block, error);
            if (close == nullptr) return error;
            record.request_uri = between(rest_.data() + 1, close);
        } else {
            return errc::bad_request_uri;
        }
        rest_ = between(block.end, last_);
        return status(block, record);
    }

    // Rules 7 and 8: referrer, user agent and tail.
    constexpr errc agents(s3_access_record& record) noexcept {
        record.ambiguous_agent = false;
        const std::size_t last_quote = rest_.rfind('"');
        if (is_null(record.request_uri) && only_nulls(rest_)) {
            record.referrer = record.user_agent = {};
            rest_ = {};
        } else if (last_quote == std::string_view::npos) {
            const std::string_view referrer = next_token(rest_);
            const std::string_view user_agent = next_token(rest_);
            if (user_agent.empty()) return errc::cut;
            record.referrer = null_if_dash(referrer);
            record.user_agent = null_if_dash(user_agent);
        } else {
            const std::string_view head = rest_.substr(0, last_quote + 1);
            rest_.remove_prefix(last_quote + 1);
            if (!rest_.empty() && rest_.front() != ' ') return errc::cut;
            const errc error =
                head.front() == '"' ? quoted_referrer(head, record) : bare_referrer(head, record);
            if (error != errc::ok) return error;
        }
        read_s3_tail(rest_, record);
        return errc::ok;
    }

  private:
    constexpr void skip_blanks() noexcept {
        const std::size_t at = rest_.find_first_not_of(' ');
        rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at);
    }

    constexpr errc time(s3_access_record& record) noexcept {
        skip_blanks();
        if (rest_.empty()) return errc::cut;
        record.time_ms.reset();
        record.zone_offset_ms = 0;
        constexpr std::size_t size = 28;
        if (rest_.front() == '[') {
            std::int64_t unix_ms = 0;
            if (rest_.size() < size || !parse_s3_time(rest_.substr(0, size), unix_ms)) return errc::bad_time;
            rest_.remove_prefix(size);
            if (!rest_.empty() && rest_.front() != ' ') return errc::bad_time;
            record.time_ms = unix_ms;
            record.zone_offset_ms = zone_offset(rest_.data() - 6);
            return errc::ok;
        }
        return is_dash(next_token(rest_)) ? errc::ok : errc::bad_time;
    }

    // "+zzzz]", which parse_s3_time has proved.
    static constexpr std::int32_t zone_offset(const char* zone) noexcept {
        const auto digit = [zone](int i) { return zone[i] - '0'; };
        const std::int32_t minutes = (digit(1) * 10 + digit(2)) * 60 + digit(3) * 10 + digit(4);
        return (zone[0] == '-' ? -minutes : minutes) * 60'000;
    }

    constexpr errc operation(s3_access_record& record) noexcept {
        std::string_view first, second, third;  // the first three tokens behind the IP
        std::string_view before, before_that;   // the two tokens before the current one
        std::string_view ahead = rest_;
        for (int k = 1;; ++k) {
            std::string_view after = ahead;
            const std::string_view token = next_token(after);
            if (token.empty() || (token.front() == '"' && token != "\"-\"")) {
                if (!is_dash(third)) return token.empty() && k <= 3 ? errc::cut : errc::bad_operation;
                record.requester = null_if_dash(first);
                record.request_id = null_if_dash(second);
                record.operation = {};
                rest_ = between(third.data() + third.size(), last_);
                return errc::ok;
            }
            if (token.front() == '[' && looks_like_s3_time(token)) return errc::spliced;
            if (is_s3_operation(token)) {
                if (k == 1) return errc::bad_operation;
                record.request_id = null_if_dash(before);
                record.requester =
                    k == 2 ? std::string_view("")
                           : null_if_dash(between(first.data(), before_that.data() + before_that.size()));
                record.operation = token;
                rest_ = after;
                return errc::ok;
            }
            if (k == 1) first = token;
            if (k == 2) second = token;
            if (k == 3) third = token;
            before_that = before;
            before = token;
            ahead = after;
        }
    }

    static constexpr errc number(std::string_view text, std::optional<std::uint64_t>& value) noexcept {
        value.reset();
        if (is_dash(text)) return errc::ok;
        std::uint64_t parsed = 0;
        if (!parse_uint64(text, parsed))
            return errc::number_overflow;  // digits they are: match_status_block looked
        value = parsed;
        return errc::ok;
    }

    static constexpr errc status(const s3_status_block& block, s3_access_record& record) noexcept {
        record.http_status.reset();
        if (!is_dash(block.status)) {
            record.http_status = static_cast<std::uint16_t>(
                (block.status[0] - '0') * 100 + (block.status[1] - '0') * 10 + (block.status[2] - '0'));
        }
        record.error_code = null_if_dash(block.error);
        if (const errc error = number(block.bytes, record.bytes_sent); error != errc::ok) return error;
        if (const errc error = number(block.size, record.object_size); error != errc::ok) return error;
        if (const errc error = number(block.total_time, record.total_time_ms); error != errc::ok)
            return error;
        return number(block.turnaround, record.turnaround_time_ms);
    }

    // Two nulls at least, and nothing else.
    static constexpr bool only_nulls(std::string_view rest) noexcept {
        int count = 0;
        for (std::string_view token = next_token(rest); !token.empty(); token = next_token(rest)) {
            if (!is_dash(token)) return false;
            ++count;
        }
        return count >= 2;
    }

    // head begins with the referrer's quote and ends with the line's last one.
    constexpr errc quoted_referrer(std::string_view head, s3_access_record& record) noexcept {
        constexpr std::string_view boundary = "\" \"";
        const std::size_t at = head.find(boundary, 1);
        if (at == std::string_view::npos) {
            if (head.size() == 1) return errc::cut;
            const std::string_view user_agent = next_token(rest_);
            if (user_agent.empty()) return errc::cut;
            record.referrer = quoted_value(head.substr(1, head.size() - 2));
            record.user_agent = null_if_dash(user_agent);
            return errc::ok;
        }
        if (at + 3 >= head.size()) return errc::cut;
        record.referrer = quoted_value(head.substr(1, at - 1));
        record.user_agent = quoted_value(head.substr(at + 3, head.size() - at - 4));
        record.ambiguous_agent = head.find(boundary, at + 1) != std::string_view::npos;
        return errc::ok;
    }

    constexpr errc bare_referrer(std::string_view head, s3_access_record& record) noexcept {
        const std::size_t blank = head.find(' ');
        if (blank == 0 || blank == std::string_view::npos ||
            head.substr(0, blank).find('"') != std::string_view::npos) {
            return errc::cut;
        }
        const std::string_view user_agent = head.substr(blank + 1);
        if (user_agent.size() < 2 || user_agent.front() != '"') return errc::cut;
        record.referrer = null_if_dash(head.substr(0, blank));
        record.user_agent = quoted_value(user_agent.substr(1, user_agent.size() - 2));
        return errc::ok;
    }

    std::string_view rest_;
    const char* last_;
};

}  // namespace detail

// Parses one line without its newline. On success every member of record is set; on failure its content is
// unspecified, and the result's error says why. ptr is the line's end or, on failure, its start: a line is
// judged as a whole. Neither allocates nor throws.
inline parse_result parse_s3_access(std::string_view line, s3_access_record& record) noexcept {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.find_first_not_of(' ') == std::string_view::npos) return {line.data(), errc::blank};
    if (detail::is_spliced_s3_line(line)) return {line.data(), errc::spliced};
    detail::s3_line_reader reader(line);
    errc error = reader.head(record);
    if (error == errc::ok) error = reader.request(record);
    if (error == errc::ok) error = reader.agents(record);
    return {error == errc::ok ? line.data() + line.size() : line.data(), error};
}

}  // namespace v0
}  // namespace tickline
