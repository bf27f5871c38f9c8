// The loop over lines of S3 access logs. Included once per CPU level by s3_access_scan.hpp, in the namespace
// of that level, so that all it calls is compiled for that level; it has no include guard for that reason.
//
// It knows only the shape that nearly every line has, and proves each part of it: the same owner and bucket
// as the line before, a UTC time, single blanks, "METHOD target HTTP/d.d", four quotes behind the turn-around
// time. Whatever is different in any way goes to s3_line_reader, which is the one place that knows all the
// rules. So a line is either right by the short way or judged by the long one; tests compare the two, and
// each with a slow reference.
#if defined(TICKLINE_S3_ACCESS_LOOP)

// Walks separators (0x20 and below) from block to block and collects what rule S needs: was there a second
// '['?
class separator_walk {
  public:
    separator_walk() noexcept {}  // not defaulted: it must be compiled for the level
    void seek(const char* p) noexcept {
        base_ = p;
        load();
    }
    // The next separator. The caller looks whether it is a blank: a newline or a tab ends the short way.
    const char* next() noexcept {
        while (mask_ == 0) {
            base_ += 32;
            load();
        }
        const char* const at = base_ + std::countr_zero(mask_);
        mask_ &= mask_ - 1;
        return at;
    }
    // The next separator, which must be a blank. Asked one by one: behind a newline the walk must not go on.
    bool blank(const char*& at) noexcept {
        at = next();
        return *at == ' ';
    }
    // The newline at or behind p. p stands in a block that was loaded before, or is its end.
    const char* newline(const char* p) noexcept {
        for (;; p += 32) {
            const block b(p);
            brackets_.add_eq(b, '[');
            const std::uint32_t newlines = b.eq('\n');
            if (newlines != 0) return p + std::countr_zero(newlines);
        }
    }
    void add(const block& b) noexcept { brackets_.add_eq(b, '['); }
    bool saw_bracket() const noexcept { return brackets_.found(); }

  private:
    void load() noexcept {
        const block b(base_);
        mask_ = b.separators();
        brackets_.add_eq(b, '[');
    }

    const char* base_ = nullptr;
    std::uint32_t mask_ = 0;
    block::any brackets_;
};

// The line's `owner bucket [` is the one of the line before.
inline bool same_prefix(const s3_scan_state& state, const char* line) noexcept {
    std::size_t i = 0;
    for (; i + 32 <= state.prefix_size; i += 32) {
        if (block(line + i).same(block(state.prefix + i)) != 0xffffffffU) return false;
    }
    const std::uint32_t rest = (std::uint32_t{1} << (state.prefix_size - i)) - 1;
    return (block(line + i).same(block(state.prefix + i)) & rest) == rest;
}

// Bytes, size, total time and turn-around time between first and last: four fields of digits or `-`, single
// blanks. The walk found the blanks; here the rest is proved, up to 64 bytes at once.
inline bool numbers_are_plain(const char* first, const char* last) noexcept {
    const auto size = static_cast<std::size_t>(last - first);
    if (size > 63) return false;
    const block low(first);
    std::uint64_t digits = low.digits(), blanks = low.eq(' '), dashes = low.eq('-');
    if (size > 32) {
        const block high(first + 32);
        digits |= std::uint64_t{high.digits()} << 32;
        blanks |= std::uint64_t{high.eq(' ')} << 32;
        dashes |= std::uint64_t{high.eq('-')} << 32;
    }
    const std::uint64_t all = (std::uint64_t{1} << size) - 1;
    const std::uint64_t ends = (blanks & all) | (std::uint64_t{1} << size);
    const std::uint64_t starts = (ends << 1) | 1;
    dashes &= all;
    // A dash stands alone: its field starts with it and ends behind it.
    return ((digits | blanks | dashes) & all) == all && (dashes & ~starts) == 0 &&
           ((dashes << 1) & ~ends) == 0;
}

// What the fields in front of the request-URI are, where they are as usual. False: judge the line the long
// way.
inline bool read_plain_head(s3_scan_state& state, separator_walk& walk, const char* line,
                            s3_access_record& record, const char*& key_end) noexcept {
    if (state.prefix_size == 0 || !same_prefix(state, line)) return false;
    const char* const time = line + state.prefix_size - 1;
    std::int64_t time_ms = 0;
    if (!state.time.parse(between(time, time + s3_time_length), time_ms) || time[s3_time_length] != ' ')
        return false;
    if (load8(time + 21) != load8(" +0000] ")) return false;

    const char* const ip = time + s3_time_length + 1;
    const char *ip_end, *requester_end, *request_id_end, *operation_end;
    walk.seek(ip);
    if (!walk.blank(ip_end) || !walk.blank(requester_end) || !walk.blank(request_id_end) ||
        !walk.blank(operation_end) || !walk.blank(key_end)) {
        return false;
    }
    const char* const requester = ip_end + 1;
    const char* const request_id = requester_end + 1;
    const char* const operation = request_id_end + 1;
    const char* const key = operation_end + 1;
    if (ip == ip_end || requester == requester_end || request_id == request_id_end || key == key_end)
        return false;
    if (!state.is_operation(between(operation, operation_end))) return false;
    // Neither of the tokens before may be an operation itself, or end the walk of rule 4.
    if (!is_plain_token(between(requester, requester_end)) ||
        !is_plain_token(between(request_id, request_id_end))) {
        return false;
    }
    record.bucket_owner = between(line, line + state.owner_size);
    record.bucket = between(line + state.owner_size + 1, time - 1);
    record.time_ms = time_ms;
    record.zone_offset_ms = 0;
    record.remote_ip = null_if_dash(between(ip, ip_end));
    record.requester = null_if_dash(between(requester, requester_end));
    record.request_id = null_if_dash(between(request_id, request_id_end));
    record.operation = between(operation, operation_end);
    record.key = null_if_dash(between(key, key_end));
    return true;
}

// A number that numbers_are_plain has proved. Digits beyond 19 could overflow and are left to the long way.
inline bool take_number(bool wanted, const char* first, const char* last,
                        std::optional<std::uint64_t>& value) noexcept {
    if (last - first > 19) return false;
    if (!wanted) return true;
    value.reset();
    if (*first == '-') return true;
    std::uint64_t number = 0;
    parse_uint64(between(first, last), number);
    value = number;
    return true;
}

// Request-URI and status block. `agents` is where the referrer begins.
inline bool read_plain_request(const s3_scan_state& state, separator_walk& walk, const char* key_end,
                               s3_access_record& record, const char*& agents) noexcept {
    const char* const open = key_end + 1;
    if (*open != '"') return false;
    const char *method_end, *target_end, *version_end, *status_end, *error_end;
    if (!walk.blank(method_end) || !walk.blank(target_end) || !walk.blank(version_end)) return false;
    const char* const version = target_end + 1;
    if (target_end == method_end + 1 || !is_http_version_and_quote(between(version, version_end)))
        return false;
    const char *bytes_end, *size_end, *total_end, *turnaround_end;
    if (!walk.blank(status_end) || !walk.blank(error_end) || !walk.blank(bytes_end) ||
        !walk.blank(size_end) || !walk.blank(total_end) || !walk.blank(turnaround_end)) {
        return false;
    }
    const char* const status = version_end + 1;
    const char* const error = status_end + 1;
    if (status_end != status + 3 || !is_digit(status[0]) || !is_digit(status[1]) || !is_digit(status[2]))
        return false;
    if (error == error_end ||
        (error_end != error + 1 && between(error, error_end).find('"') != std::string_view::npos)) {
        return false;
    }
    if (*error == '"') return false;
    if (bytes_end == error_end + 1 || size_end == bytes_end + 1 || total_end == size_end + 1 ||
        turnaround_end == total_end + 1 || !numbers_are_plain(error_end + 1, turnaround_end)) {
        return false;
    }
    record.request_uri = between(open + 1, version_end - 1);
    record.http_status =
        static_cast<std::uint16_t>((status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0'));
    record.error_code = null_if_dash(between(error, error_end));
    agents = turnaround_end + 1;
    return take_number(state.wants(s3_field::bytes_sent), error_end + 1, bytes_end, record.bytes_sent) &&
           take_number(state.wants(s3_field::object_size), bytes_end + 1, size_end, record.object_size) &&
           take_number(state.wants(s3_field::total_time_ms), size_end + 1, total_end, record.total_time_ms) &&
           take_number(state.wants(s3_field::turnaround_time_ms), total_end + 1, turnaround_end,
                       record.turnaround_time_ms);
}

// Referrer and user agent where there are just four quotes up to the newline, `"..." "..."`, and no second
// boundary.
inline bool read_plain_agents(separator_walk& walk, const char* agents, s3_access_record& record,
                              const char*& newline, const char*& tail) noexcept {
    const char* quotes[4] = {};
    int count = 0;
    for (const char* p = agents;; p += 32) {
        const block b(p);
        walk.add(b);
        const std::uint32_t newlines = b.eq('\n');
        std::uint32_t mask = b.eq('"');
        if (newlines != 0) mask &= (newlines & (~newlines + 1)) - 1;
        for (; mask != 0; mask &= mask - 1) {
            if (count == 4) return false;
            quotes[count++] = p + std::countr_zero(mask);
        }
        if (newlines != 0) {
            newline = p + std::countr_zero(newlines);
            break;
        }
    }
    if (count != 4 || quotes[0] != agents || quotes[2] != quotes[1] + 2 || quotes[1][1] != ' ' ||
        (quotes[3] == quotes[2] + 2 && quotes[2][1] == ' ')) {
        return false;
    }
    tail = quotes[3] + 1;
    if (*tail != ' ' && tail != newline && !(*tail == '\r' && tail + 1 == newline)) return false;
    record.referrer = quoted_value(between(quotes[0] + 1, quotes[1]));
    record.user_agent = quoted_value(between(quotes[2] + 1, quotes[3]));
    record.ambiguous_agent = false;
    return true;
}

enum class short_way { no, filtered, accepted };

// One line by the short way. newline is set unless the answer is no.
inline short_way read_plain_line(s3_scan_state& state, const char* line, s3_access_record& record,
                                 filter_reason& reason, const char*& newline) noexcept {
    separator_walk walk;
    const char* key_end = nullptr;
    const char* agents = nullptr;
    const char* tail = nullptr;
    if (!read_plain_head(state, walk, line, record, key_end)) return short_way::no;
    bool wanted = wanted_before_request(*state.filter, state.verdicts, record, reason);
    if (!wanted) {
        newline = walk.newline(key_end);
    } else {
        if (!read_plain_request(state, walk, key_end, record, agents)) return short_way::no;
        wanted = wanted_by_status(*state.filter, record);
        if (!wanted) {
            reason = filter_reason::status;
            newline = walk.newline(agents);
        } else {
            if (!read_plain_agents(walk, agents, record, newline, tail)) return short_way::no;
            if (state.wants_tail)
                read_s3_tail(between(tail, newline[-1] == '\r' ? newline - 1 : newline), record);
        }
    }
    // Rule S, and the limit on a line's length: rare enough for the long way to say which. The walk may have
    // seen the bracket of the line behind, so it is looked for once more.
    const auto size = static_cast<std::size_t>(newline - line);
    if (size > state.max_line_bytes) return short_way::no;
    if (walk.saw_bracket() &&
        std::memchr(line + state.prefix_size, '[', size - state.prefix_size) != nullptr) {
        return short_way::no;
    }
    return wanted ? short_way::accepted : short_way::filtered;
}

// Reads lines from `position` on into rows until those or the places for rejected lines are used up, or `end`
// is reached. `end` stands behind a newline, and at least s3_scan_margin more bytes can be read behind it.
inline std::size_t scan_s3_lines(s3_scan_state& state, const char*& position, const char* end,
                                 s3_access_record* rows, std::size_t capacity) noexcept {
    std::size_t count = 0;
    const char* line = position;
    while (line < end && count < capacity && !state.rejects_full()) {
        filter_reason reason{};
        const char* newline = nullptr;
        switch (read_plain_line(state, line, rows[count], reason, newline)) {
            case short_way::accepted:
                if (state.accept(line, newline, rows[count])) ++count;
                break;
            case short_way::filtered:
                ++state.counts.lines;
                state.counts.filter(reason);
                break;
            case short_way::no:
                newline =
                    static_cast<const char*>(std::memchr(line, '\n', static_cast<std::size_t>(end - line)));
                if (state.judge(line, newline, rows[count])) ++count;
                break;
        }
        line = newline + 1;
    }
    position = line;
    return count;
}

#endif  // TICKLINE_S3_ACCESS_LOOP
