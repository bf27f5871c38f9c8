// The 27 fields of an S3 access log record: names, kinds and where they stand in s3_access_record.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "tickline/logs/s3_access.hpp"

namespace tickline {
inline namespace v0 {

// In the order of the log line.
enum class s3_field : std::uint8_t {
    bucket_owner,
    bucket,
    time,
    remote_ip,
    requester,
    request_id,
    operation,
    key,
    request_uri,
    http_status,
    error_code,
    bytes_sent,
    object_size,
    total_time_ms,
    turnaround_time_ms,
    referrer,
    user_agent,
    version_id,
    host_id,
    signature_version,
    cipher_suite,
    authentication_type,
    host_header,
    tls_version,
    access_point_arn,
    acl_required,
    source_region
};
inline constexpr int s3_field_count = static_cast<int>(s3_field::source_region) + 1;

// How a column stores it. text: nearly every value differs, so a dictionary would only cost; repeated: it
// pays.
enum class s3_field_kind : std::uint8_t { text, repeated_text, time_ms, status, number };

struct s3_field_info {
    std::string_view name;
    s3_field_kind kind;
    std::string_view s3_access_record::*text = nullptr;                // text kinds
    std::optional<std::uint64_t> s3_access_record::*number = nullptr;  // number
};

inline constexpr s3_field_info s3_fields[s3_field_count] = {
    {"bucket_owner", s3_field_kind::repeated_text, &s3_access_record::bucket_owner},
    {"bucket", s3_field_kind::repeated_text, &s3_access_record::bucket},
    {"time", s3_field_kind::time_ms},
    {"remote_ip", s3_field_kind::repeated_text, &s3_access_record::remote_ip},
    {"requester", s3_field_kind::repeated_text, &s3_access_record::requester},
    {"request_id", s3_field_kind::text, &s3_access_record::request_id},
    {"operation", s3_field_kind::repeated_text, &s3_access_record::operation},
    {"key", s3_field_kind::repeated_text, &s3_access_record::key},
    {"request_uri", s3_field_kind::text, &s3_access_record::request_uri},
    {"http_status", s3_field_kind::status},
    {"error_code", s3_field_kind::repeated_text, &s3_access_record::error_code},
    {"bytes_sent", s3_field_kind::number, nullptr, &s3_access_record::bytes_sent},
    {"object_size", s3_field_kind::number, nullptr, &s3_access_record::object_size},
    {"total_time_ms", s3_field_kind::number, nullptr, &s3_access_record::total_time_ms},
    {"turnaround_time_ms", s3_field_kind::number, nullptr, &s3_access_record::turnaround_time_ms},
    {"referrer", s3_field_kind::repeated_text, &s3_access_record::referrer},
    {"user_agent", s3_field_kind::repeated_text, &s3_access_record::user_agent},
    {"version_id", s3_field_kind::text, &s3_access_record::version_id},
    {"host_id", s3_field_kind::text, &s3_access_record::host_id},
    {"signature_version", s3_field_kind::repeated_text, &s3_access_record::signature_version},
    {"cipher_suite", s3_field_kind::repeated_text, &s3_access_record::cipher_suite},
    {"authentication_type", s3_field_kind::repeated_text, &s3_access_record::authentication_type},
    {"host_header", s3_field_kind::repeated_text, &s3_access_record::host_header},
    {"tls_version", s3_field_kind::repeated_text, &s3_access_record::tls_version},
    {"access_point_arn", s3_field_kind::repeated_text, &s3_access_record::access_point_arn},
    {"acl_required", s3_field_kind::repeated_text, &s3_access_record::acl_required},
    {"source_region", s3_field_kind::repeated_text, &s3_access_record::source_region},
};

constexpr const s3_field_info& info(s3_field field) noexcept { return s3_fields[static_cast<int>(field)]; }

// The field of this name; s3_field_count if there is none.
constexpr int s3_field_index(std::string_view name) noexcept {
    int i = 0;
    while (i < s3_field_count && s3_fields[i].name != name) ++i;
    return i;
}

class s3_field_set {
  public:
    constexpr s3_field_set() noexcept = default;
    static constexpr s3_field_set all() noexcept {
        s3_field_set set;
        set.bits_ = (std::uint32_t{1} << s3_field_count) - 1;
        return set;
    }
    constexpr void add(s3_field field) noexcept { bits_ |= bit(field); }
    constexpr bool has(s3_field field) const noexcept { return (bits_ & bit(field)) != 0; }
    constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr s3_field_set without(std::initializer_list<s3_field> fields) const noexcept {
        s3_field_set rest = *this;
        for (const s3_field field : fields) rest.bits_ &= ~bit(field);
        return rest;
    }
    constexpr bool has_any_from(s3_field field) const noexcept { return bits_ >= bit(field); }

  private:
    static constexpr std::uint32_t bit(s3_field field) noexcept {
        return std::uint32_t{1} << static_cast<int>(field);
    }
    std::uint32_t bits_ = 0;
};

}  // namespace v0
}  // namespace tickline
