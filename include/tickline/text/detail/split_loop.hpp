// The loop that takes lines apart into tokens, for the `block` of the namespace around it. Included by
// text/format.hpp once per CPU level, inside that namespace, and by nothing else.
#if defined(TICKLINE_SPLIT_LOOP)

// The block at p; behind the end of the text stand newlines.
TICKLINE_INLINE block load_block(const char* p, const char* end) noexcept {
    if (end - p >= 32) return block(p);
    char bytes[32];
    std::memset(bytes, '\n', sizeof bytes);
    std::memcpy(bytes, p, static_cast<std::size_t>(end - p));
    return block(bytes);
}

// The line at `line`; returns its newline, or the end of the text.
TICKLINE_INLINE const char* split_line(const char* line, const char* text_end, line_tokens& out) noexcept {
    std::uint32_t count = 0;  // of edges
    std::uint32_t inside = 0, controls = 0;
    const char* newline = nullptr;
    for (const char* p = line; newline == nullptr; p += 32) {
        const block bytes = load_block(p, text_end);
        std::uint32_t separators = bytes.separators();
        std::uint32_t others = separators & ~bytes.eq(' ');
        if (others != 0) {
            const std::uint32_t newlines = bytes.eq('\n');
            if (newlines != 0) {
                const int stop = std::countr_zero(newlines);
                const std::uint32_t before = (std::uint32_t{1} << stop) - 1;
                others &= before;
                separators |= ~before;
                newline = p + stop;
            }
            controls |= others;
        }
        // Most blocks hold up to four tokens. Writing eight edges whatever there is costs less than a loop
        // whose end cannot be foreseen; those too many are written over.
        std::uint32_t edges = ~separators ^ (~separators << 1 | inside);
        const auto base = static_cast<std::uint32_t>(p - line);
        const auto found = static_cast<std::uint32_t>(std::popcount(edges));
        std::uint32_t* edge = out.edges.data() + count;
        for (int i = 0; i < 8; ++i, edges &= edges - 1) {
            *edge++ = base + static_cast<std::uint32_t>(std::countr_zero(edges));
        }
        for (; edges != 0; edges &= edges - 1) {
            *edge++ = base + static_cast<std::uint32_t>(std::countr_zero(edges));
        }
        count += found;
        inside = ~separators >> 31;
        if (newline == nullptr && count > 2 * line_tokens::most) {
            // No log has so many tokens: only the end of the line matters, and whether any byte is wrong.
            const void* const next = std::memchr(p, '\n', static_cast<std::size_t>(text_end - p));
            newline = next == nullptr ? text_end : static_cast<const char*>(next);
            controls = 1;
        } else if (newline == nullptr && text_end - p == 32) {
            out.edges[count] = base + 32;  // used if the last token has no end yet
            count += inside;
            newline = text_end;
        }
    }
    out.line = line;
    out.end = newline != line && newline[-1] == '\r' ? newline - 1 : newline;
    out.count = count > 2 * line_tokens::most ? line_tokens::most + 1 : count / 2;
    out.has_newline = newline != text_end;
    out.has_controls = controls != 0 && has_control_bytes(out.text());
    return newline;
}

inline std::size_t split_lines(const char*& position, const char* end, line_tokens* out,
                               std::size_t room) noexcept {
    std::size_t lines = 0;
    for (; lines < room && position != end; ++lines) {
        const char* const newline = split_line(position, end, out[lines]);
        position = newline == end ? end : newline + 1;
    }
    return lines;
}

#endif
