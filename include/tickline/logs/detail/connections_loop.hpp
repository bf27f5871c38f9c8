// The loop that counts connections, for the `block` of the namespace around it. Included by
// logs/connections_counter.hpp once per CPU level, inside that namespace, and by nothing else.
#if defined(TICKLINE_CONNECTIONS_LOOP)

// The first three bytes up to the blank, as distances from p, of a line that does not end within 64 bytes.
// False if there are none before `end`.
inline bool far_separators(const char* p, const char* end, std::size_t* at) noexcept {
    std::size_t count = 0;
    for (std::size_t base = 0; end - p >= static_cast<std::ptrdiff_t>(base) + 32; base += 32) {
        for (std::uint32_t found = block(p + base).separators(); found != 0; found &= found - 1) {
            at[count++] = base + static_cast<std::size_t>(std::countr_zero(found));
            if (count == 3) return true;
        }
    }
    return false;
}

// Do these three separators belong to a line that is no usual one: blanks or tabs, and a line end? Then
// `next` is where the next one begins.
inline bool are_odd_separators(const char* first, const char* second, const char* third, const char* end,
                               const char*& next) noexcept {
    if (*third == '\r' && next != end) ++next;
    return is_blank_or_tab(*first) && is_blank_or_tab(*second) && next[-1] == '\n';
}

// Takes lines of the usual shape from p on, and returns where the first one begins that it leaves to the
// careful way: an odd one, one whose host is wrong, the last ones of the text.
inline const char* count_connections(const char* p, const char* end, connection_tally& tally) {
    // All of the bytes that are looked at once belong to the text.
    constexpr std::ptrdiff_t most_read = 64 + 32;
    std::uint64_t accepted = 0, filtered = 0;
    stamp_span span = tally.span;
    ten_digits stamp;
    while (end - p >= most_read) {
        // Two blocks always: whether one does is a matter of luck. No loop and no array for the three places:
        // each stays in a register.
        const std::uint64_t found = block(p).separators() | std::uint64_t{block(p + 32).separators()} << 32;
        const std::uint64_t but_one = found & (found - 1), but_two = but_one & (but_one - 1);
        auto first = static_cast<std::size_t>(std::countr_zero(found)),
             second = static_cast<std::size_t>(std::countr_zero(but_one)),
             third = static_cast<std::size_t>(std::countr_zero(but_two));
        const bool near = but_two != 0;
        if (!near) {
            std::size_t at[3];
            if (!far_separators(p, end, at)) break;
            first = at[0], second = at[1], third = at[2];
        }
        const char* const from = p + first + 1;
        const char* const to = p + second + 1;
        const char* next = p + third + 1;
        if ((from[-1] != ' ' || to[-1] != ' ' || next[-1] != '\n') &&
            !are_odd_separators(from - 1, to - 1, next - 1, end, next)) {
            break;
        }
        const std::size_t from_size = second - first - 1, to_size = third - second - 1;
        if (from_size == 0 || to_size == 0) break;
        if (static_cast<std::uint64_t>(next - p) > tally.fast_line_bytes) break;
        std::int64_t ns = 0;
        if (!(first == 10 && stamp.read(p, ns)) && !read_stamp(p, first, ns)) break;
        if (static_cast<std::uint64_t>(ns) - static_cast<std::uint64_t>(tally.first_ns) >= tally.length_ns &&
            !tally.enter(ns)) {
            if (tally.refused) break;
            span.add(ns);
            ++filtered;
            p = next;
            continue;
        }
        std::uint32_t from_id = host_numbers::npos, to_id = host_numbers::npos;
        if (near && std::max(from_size, to_size) <= host_numbers::short_bytes) {
            from_id = tally.counts.hosts(connection_side::from).recent(from, from_size);
            to_id = tally.counts.hosts(connection_side::to).recent(to, to_size);
        } else if (near && from_size <= host_numbers::short_bytes) {
            from_id = tally.counts.hosts(connection_side::from).recent(from, from_size);
        } else if (near && to_size <= host_numbers::short_bytes) {
            to_id = tally.counts.hosts(connection_side::to).recent(to, to_size);
        }
        if (from_id == host_numbers::npos) {
            from_id = tally.number(connection_side::from, {from, from_size});
            if (from_id == host_numbers::npos) break;
        }
        if (to_id == host_numbers::npos) {
            to_id = tally.number(connection_side::to, {to, to_size});
            if (to_id == host_numbers::npos) break;
        }
        if (!tally.table->add(from_id, to_id, 1) && !tally.add_pair(from_id, to_id)) break;
        span.add(ns);
        ++accepted;
        p = next;
    }
    tally.span = span;
    tally.lines.lines += accepted + filtered;
    tally.lines.accepted += accepted;
    tally.lines.filtered[static_cast<int>(filter_reason::time)] += filtered;
    return p;
}

#endif  // TICKLINE_CONNECTIONS_LOOP
