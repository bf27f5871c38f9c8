// Compares what a parser of S3 access lines gives with what the reference says, field by field and code by
// code. Templates over the parser's record, so that the reference itself does not include the parser.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "reference/s3_access_reference.hpp"

namespace tickline::reference {

// Every text field by name: `visit(name, member of reference_record, member of Record)`.
template <class Record, class Visit>
void for_each_text_field(const reference_record& expected, const Record& record, Visit&& visit) {
    visit("bucket_owner", expected.bucket_owner, record.bucket_owner);
    visit("bucket", expected.bucket, record.bucket);
    visit("remote_ip", expected.remote_ip, record.remote_ip);
    visit("requester", expected.requester, record.requester);
    visit("request_id", expected.request_id, record.request_id);
    visit("operation", expected.operation, record.operation);
    visit("key", expected.key, record.key);
    visit("request_uri", expected.request_uri, record.request_uri);
    visit("error_code", expected.error_code, record.error_code);
    visit("referrer", expected.referrer, record.referrer);
    visit("user_agent", expected.user_agent, record.user_agent);
    visit("version_id", expected.version_id, record.version_id);
    visit("host_id", expected.host_id, record.host_id);
    visit("signature_version", expected.signature_version, record.signature_version);
    visit("cipher_suite", expected.cipher_suite, record.cipher_suite);
    visit("authentication_type", expected.authentication_type, record.authentication_type);
    visit("host_header", expected.host_header, record.host_header);
    visit("tls_version", expected.tls_version, record.tls_version);
    visit("access_point_arn", expected.access_point_arn, record.access_point_arn);
    visit("acl_required", expected.acl_required, record.acl_required);
    visit("source_region", expected.source_region, record.source_region);
}

// Compares with a parser's answer (`error`: the name of its code, "ok" if it took the line). Gives "" if they
// agree, else one sentence that names the first difference. Record is shaped like tickline::s3_access_record.
template <class Record>
std::string first_difference(const reference_result& expected, std::string_view error, const Record& record) {
    const std::string code = expected.outcome == "accepted" ? "ok" : expected.reason;
    if (code != error) return "code: the reference says " + code + ", the parser " + std::string(error);
    if (code != "ok") return "";
    std::string difference;
    const auto compare = [&](const char* name, const std::optional<std::string>& wanted,
                             std::string_view got) {
        const bool null = got.data() == nullptr;
        if (!difference.empty() || (null ? !wanted : wanted && *wanted == got)) return;
        difference = std::string(name) + ": the reference says " + (wanted ? "<" + *wanted + ">" : "null") +
                     ", the parser " + (null ? "null" : "<" + std::string(got) + ">");
    };
    for_each_text_field(expected.record, record, compare);
    const auto number = [&](const char* name, const auto& wanted, const auto& got) {
        using value = typename std::decay_t<decltype(wanted)>::value_type;
        const bool same = wanted ? got && static_cast<value>(*got) == *wanted : !got;
        if (!difference.empty() || same) return;
        difference = std::string(name) + ": the reference says " +
                     (wanted ? std::to_string(*wanted) : "null") + ", the parser " +
                     (got ? std::to_string(*got) : "null");
    };
    number("time_ms", expected.record.time_ms, record.time_ms);
    number("http_status", expected.record.http_status, record.http_status);
    number("bytes_sent", expected.record.bytes_sent, record.bytes_sent);
    number("object_size", expected.record.object_size, record.object_size);
    number("total_time_ms", expected.record.total_time_ms, record.total_time_ms);
    number("turnaround_time_ms", expected.record.turnaround_time_ms, record.turnaround_time_ms);
    if (difference.empty() && expected.ambiguous_agent != record.ambiguous_agent) {
        difference = "ambiguous_agent differs";
    }
    return difference;
}

}  // namespace tickline::reference
