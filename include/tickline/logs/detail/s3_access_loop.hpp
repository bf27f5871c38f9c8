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
// '['? Called a dozen times a line: left to itself the compiler makes calls of it, at a tenth of the whole.
class separator_walk {
  public:
    separator_walk() noexcept {}  // not defaulted: it must be compiled for the level

    TICKLINE_INLINE void seek(const char* p) noexcept {
        base_ = p;
        load();
    }
    // The next separator. It must be a blank: behind a newline the walk must not go on.
    TICKLINE_INLINE bool blank(const char*& at) noexcept {
        while (mask_ == 0) {
            base_ += 32;
            load();
        }
        at = base_ + std::countr_zero(mask_);
        mask_ &= mask_ - 1;
        return *at == ' ';
    }
    // The newline at or behind p. p stands in a block that was loaded before, or is its end.
    TICKLINE_INLINE const char* newline(const char* p) noexcept {
        for (;; p += 64) {
            const block low(p), high(p + 32);
            brackets_.add_eq(low, '[');
            brackets_.add_eq(high, '[');
            const std::uint64_t newlines = low.eq('\n') | std::uint64_t{high.eq('\n')} << 32;
            if (newlines != 0) return p + std::countr_zero(newlines);
        }
    }
    TICKLINE_INLINE void add(const block& b) noexcept { brackets_.add_eq(b, '['); }
    TICKLINE_INLINE bool saw_bracket() const noexcept { return brackets_.found(); }

  private:
    TICKLINE_INLINE void load() noexcept {
        const block b(base_);
        mask_ = b.separators();
        brackets_.add_eq(b, '[');
    }

    const char* base_ = nullptr;
    std::uint32_t mask_ = 0;
    block::any brackets_;
};

// The first `size` bytes, at most 32 of which 32 can be read.
TICKLINE_INLINE std::uint32_t first_bits(std::size_t size) noexcept {
    return size >= 32 ? 0xffffffffU : (std::uint32_t{1} << size) - 1;
}

// The line's `owner bucket [` is the one of the line before.
TICKLINE_INLINE bool same_prefix(const s3_scan_state& state, const char* line) noexcept {
    std::size_t i = 0;
    for (; i + 32 <= state.prefix_size; i += 32) {
        if (block(line + i).same(block(state.prefix + i)) != 0xffffffffU) return false;
    }
    const std::uint32_t rest = first_bits(state.prefix_size - i);
    return (block(line + i).same(block(state.prefix + i)) & rest) == rest;
}

// A token that may stand before the operation without being one itself, ending the search for it, or hinting
// at a splice. What holds no dot is no operation, and most request ids are told so by one mask.
TICKLINE_INLINE bool is_plain_token(const char* first, const char* last) noexcept {
    if (*first == '"' || *first == '[') return false;
    const auto size = static_cast<std::size_t>(last - first);
    if (size <= 32 && (block(first).eq('.') & first_bits(size)) == 0) return true;
    return !is_s3_operation(between(first, last));
}

// Bytes, size, total time and turn-around time between first and last: four fields of digits or `-`, single
// blanks. The walk found the blanks; here the rest is proved, up to 64 bytes at once.
TICKLINE_INLINE bool numbers_are_plain(const char* first, const char* last) noexcept {
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

// A number that numbers_are_plain has proved, of at most 19 digits: no digit is looked at again. Shifting the
// word moves the digits to its end, and the zero bytes in front count as zeros.
TICKLINE_INLINE std::optional<std::uint64_t> plain_number(const char* first, const char* last) noexcept {
    const auto size = static_cast<unsigned>(last - first);
    if (*first == '-') return std::nullopt;
    if (size <= 8) return eight_digits_value(load_le64(first) << (64 - 8 * size));
    if (size <= 16) {
        const std::uint64_t high = eight_digits_value(load_le64(first) << (128 - 8 * size));
        return high * 100'000'000 + eight_digits_value(load_le64(last - 8));
    }
    std::uint64_t number = 0;
    parse_uint64(between(first, last), number);
    return number;
}

// What the fields in front of the request-URI are, where they are as usual. False: judge the line the long
// way.
TICKLINE_INLINE bool read_plain_head(s3_scan_state& state, separator_walk& walk, const char* line,
                                     s3_access_record& record, bool& wanted_operation,
                                     const char*& key_end) noexcept {
    if (state.prefix_size == 0 || !same_prefix(state, line)) return false;
    const char* const time = line + state.prefix_size - 1;
    std::int64_t time_ms = 0;
    if (load_le64(time + 21) != load_le64(" +0000] ") ||
        !state.time.parse(between(time, time + s3_time_length), time_ms)) {
        return false;
    }
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
    if (!is_plain_token(requester, requester_end) || !is_plain_token(request_id, request_id_end))
        return false;

    // The same operation as in the line before, most likely: it is one, and is known to be wanted or not.
    const auto operation_size = static_cast<std::size_t>(operation_end - operation);
    const std::uint32_t bits = first_bits(operation_size);
    if (operation_size != state.last_operation_size ||
        (block(operation).same(block(state.last_operation)) & bits) != bits) {
        if (!state.learn_operation(between(operation, operation_end))) return false;
    }
    wanted_operation = state.last_operation_wanted;

    record.time_ms = time_ms;
    record.zone_offset_ms = 0;
    record.remote_ip = null_if_dash(between(ip, ip_end));
    record.operation = between(operation, operation_end);
    record.key = null_if_dash(between(key, key_end));
    if (state.wants_more) {
        record.bucket_owner = between(line, line + state.owner_size);
        record.bucket = between(line + state.owner_size + 1, time - 1);
        record.requester = null_if_dash(between(requester, requester_end));
        record.request_id = null_if_dash(between(request_id, request_id_end));
    }
    return true;
}

// Request-URI and status block. `agents` is where the referrer begins.
TICKLINE_INLINE bool read_plain_request(const s3_scan_state& state, separator_walk& walk, const char* key_end,
                                        s3_access_record& record, const char*& agents) noexcept {
    const char* const open = key_end + 1;
    if (*open != '"' || open[1] == '-') return false;  // `"-"` is null, whatever follows
    const char *method_end, *target_end, *version_end, *status_end, *error_end;
    if (!walk.blank(method_end) || !walk.blank(target_end) || !walk.blank(version_end)) return false;
    const char* const version = target_end + 1;
    if (target_end == method_end + 1 || version_end != version + 9 || version[8] != '"') return false;
    if (load_le64(version) != load_le64("HTTP/1.1") &&
        !is_http_version_and_quote(between(version, version_end))) {
        return false;
    }
    const char *bytes_end, *size_end, *total_end, *turnaround_end;
    if (!walk.blank(status_end) || !walk.blank(error_end) || !walk.blank(bytes_end) ||
        !walk.blank(size_end) || !walk.blank(total_end) || !walk.blank(turnaround_end)) {
        return false;
    }
    const char* const status = version_end + 1;
    const char* const error = status_end + 1;
    const char* const bytes = error_end + 1;
    if (status_end != status + 3 || !is_digit(status[0]) || !is_digit(status[1]) || !is_digit(status[2]))
        return false;
    if (error == error_end || *error == '"') return false;
    if (error_end != error + 1 && between(error, error_end).find('"') != std::string_view::npos) return false;
    // Single digits at least; and 20 digits could be more than 64 bits, which the long way knows to tell.
    const auto fits = [](const char* first, const char* last) {
        return static_cast<std::size_t>(last - first) - 1 < 19;
    };
    if (!fits(bytes, bytes_end) || !fits(bytes_end + 1, size_end) || !fits(size_end + 1, total_end) ||
        !fits(total_end + 1, turnaround_end) || !numbers_are_plain(bytes, turnaround_end)) {
        return false;
    }
    agents = turnaround_end + 1;
    record.http_status =
        static_cast<std::uint16_t>((status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0'));
    if (state.wants(s3_field::bytes_sent)) record.bytes_sent = plain_number(bytes, bytes_end);
    if (state.wants_more) {
        record.request_uri = between(open + 1, version_end - 1);
        record.error_code = null_if_dash(between(error, error_end));
        record.object_size = plain_number(bytes_end + 1, size_end);
        record.total_time_ms = plain_number(size_end + 1, total_end);
        record.turnaround_time_ms = plain_number(total_end + 1, turnaround_end);
    }
    return true;
}

// Referrer and user agent where there are just four quotes up to the newline, `"..." "..."`, and no second
// boundary.
TICKLINE_INLINE bool read_plain_agents(const s3_scan_state& state, separator_walk& walk, const char* agents,
                                       s3_access_record& record, const char*& newline,
                                       const char*& tail) noexcept {
    const char* hits[5];  // four quotes and the newline
    int count = 0;
    for (const char* p = agents;; p += 32) {
        const block b(p);
        walk.add(b);
        for (std::uint32_t mask = b.quotes_and_newlines(); mask != 0; mask &= mask - 1) {
            const char* const at = p + std::countr_zero(mask);
            hits[count++] = at;
            if (*at == '\n' || count == 5) goto out;
        }
    }
out:
    if (count != 5 || *hits[4] != '\n' || hits[0] != agents || hits[2] != hits[1] + 2 || hits[1][1] != ' ' ||
        (hits[3] == hits[2] + 2 && hits[2][1] == ' ')) {
        return false;
    }
    newline = hits[4];
    tail = hits[3] + 1;
    if (*tail != ' ' && tail != newline && !(*tail == '\r' && tail + 1 == newline)) return false;
    record.ambiguous_agent = false;
    if (state.wants_more) {
        record.referrer = quoted_value(between(hits[0] + 1, hits[1]));
        record.user_agent = quoted_value(between(hits[2] + 1, hits[3]));
    }
    return true;
}

enum class short_way { no, filtered, accepted };

// One line by the short way. newline is set unless the answer is no.
TICKLINE_INLINE short_way read_plain_line(s3_scan_state& state, const char* line, s3_access_record& record,
                                          filter_reason& reason, const char*& newline) noexcept {
    separator_walk walk;
    const char* key_end = nullptr;
    const char* agents = nullptr;
    const char* tail = nullptr;
    bool wanted = false;
    reason = filter_reason::operation;
    if (!read_plain_head(state, walk, line, record, wanted, key_end)) return short_way::no;
    if (wanted && state.filters_more) {
        wanted = wanted_behind_operation(*state.filter, state.verdicts, record, reason);
    }
    if (!wanted) {
        newline = walk.newline(key_end);
    } else {
        if (!read_plain_request(state, walk, key_end, record, agents)) return short_way::no;
        wanted = wanted_by_status(*state.filter, record);
        if (!wanted) {
            if (*agents != '"' && *agents != '-') return short_way::no;  // rule 6: then nothing closes
            reason = filter_reason::status;
            newline = walk.newline(agents);
        } else {
            if (!read_plain_agents(state, walk, agents, record, newline, tail)) return short_way::no;
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
