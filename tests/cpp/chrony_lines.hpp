// Lines of chrony's logs for tests: one row of each layout, as the manual of its time shows it, and banners.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <tickline/logs/chrony_layouts.hpp>
#include <vector>

namespace chrony_lines {

struct example {
    tickline::chrony_kind kind;
    std::string_view since;
    std::string_view line;
};

using tickline::chrony_kind;

inline constexpr example examples[] = {
    {chrony_kind::tracking, "1.20",
     "1998-07-22 05:40:50 158.152.1.76     3    340.529      1.606  1.046e-03"},
    {chrony_kind::tracking, "1.27",
     "2012-02-23 05:40:50 158.152.1.76     3    340.529      1.606  1.046e-03 N"},
    {chrony_kind::tracking, "1.28",
     "2012-02-23 05:40:50 158.152.1.76     3    340.529      1.606  1.046e-03 N 4  6.849e-03 -4.670e-04"},
    {chrony_kind::tracking, "3.2",
     "2017-08-22 13:22:36 203.0.113.15     2     -3.541      0.075 -8.621e-06 N 2  2.940e-03 -2.084e-04 "
     " 1.534e-02  3.472e-04  8.304e-03"},
    {chrony_kind::measurements, "1.20",
     "1998-07-22 05:40:50 158.152.1.76    N  8 1111 11 1111 10 10  1 -4.966e-03  2.296e-01  1.577e-05  "
     "1.615e-01  7.446e-03"},
    {chrony_kind::measurements, "1.25",
     "2010-12-22 05:40:50 158.152.1.76    N  8 1111 111 1111 10 10 1.00 -4.966e-03  2.296e-01  1.577e-05  "
     "1.615e-01  7.446e-03"},
    {chrony_kind::measurements, "2.0",
     "2015-10-13 05:40:50 203.0.113.15    ?  2 111 101 1101  -1 10 1.00 -4.966e-03  2.296e-01  1.577e-05  "
     "1.615e-01  7.446e-03"},
    {chrony_kind::measurements, "3.0",
     "2016-11-09 05:40:50 fd12:3456:789a:bcde:1111:2222:3333:4444 N  2 111 111 1111  10 10 0.78 -4.966e-03  "
     "2.296e-01  1.577e-05  1.615e-01  7.446e-03 CB00717B 4B D K"},
    {chrony_kind::statistics, "1.20",
     "1998-07-22 05:40:50 158.152.1.76     6.261e-03 -3.247e-03 2.220e-03  1.874e-06  1.080e-06 7.8e-02  16  "
     " 0   8"},
    {chrony_kind::statistics, "3.0",
     "2016-08-10 05:40:50 203.0.113.15     6.261e-03 -3.247e-03 2.220e-03  1.874e-06  1.080e-06 7.8e-02  16  "
     " 0   8 -0.25"},
    {chrony_kind::refclocks, "1.24", "2009-11-30 14:33:27.000000 PPS2    7 N 1  4.900000e-07 -6.741777e-07"},
    {chrony_kind::refclocks, "1.25",
     "2009-11-30 14:33:27.123456 PPS2    - N -       -       -6.741777e-07  1.000e-06"},
    {chrony_kind::rtc, "1.20",
     "2015-07-22 05:40:50     -0.037360 1       -0.037434      -37.948  12   5  120"},
    {chrony_kind::tempcomp, "1.25", "2015-04-19 10:39:48  2.8000e+04  3.6600e-01"},
    {chrony_kind::selection, "4.3",
     "2022-05-01 02:01:20 203.0.113.15    * -----  377  1.00  4.228e+01 -1.575e-04  1.239e-04"},
};

inline std::string title_of(chrony_kind kind, std::string_view since) {
    for (const tickline::chrony_layout& layout : tickline::chrony_layouts) {
        if (layout.kind == kind && layout.since == since) return std::string(layout.title);
    }
    return "";
}

inline std::string banner_of(const example& one) {
    const std::string title = "   " + title_of(one.kind, one.since);
    const std::string ruler(title.size(), '=');
    return ruler + '\n' + title + '\n' + ruler + '\n';
}

// Rows, banners and damage in a wild order; most of it is good.
class random_log {
  public:
    explicit random_log(std::uint64_t seed) : random_(seed) {}

    std::string text() {
        std::string out;
        const std::size_t lines = below(40);
        const bool one_kind = below(4) != 0;
        const std::size_t kept = below(std::size(examples));
        for (std::size_t i = 0; i < lines; ++i) {
            const example& one = examples[one_kind && below(8) != 0 ? kept : below(std::size(examples))];
            if (below(8) == 0) out += banner_of(one);
            std::string line(one.line);
            if (below(3) == 0) damage(line);
            out += line;
            if (below(12) == 0) out += '\r';
            if (below(60) != 0) out += '\n';
        }
        if (below(4) == 0) out.resize(out.size() - below(std::min<std::size_t>(out.size(), 140) + 1));
        return out;
    }

  private:
    std::size_t below(std::size_t end) { return random_() % end; }

    void damage(std::string& line) {
        static constexpr std::string_view bytes = "0123456789.-+e? =N:\t\r\xff\x7f*";
        for (std::size_t times = 1 + below(3); times > 0 && !line.empty(); --times) {
            const std::size_t at = below(line.size());
            switch (below(6)) {
                case 0:
                    line[at] = bytes[below(bytes.size())];
                    break;
                case 1:
                    line.erase(at, 1 + below(3));
                    break;
                case 2:
                    line.insert(at, 1, bytes[below(bytes.size())]);
                    break;
                case 3:
                    line.resize(at);
                    break;
                case 4:
                    line.insert(at, std::string(1 + below(3), below(9) == 0 ? '\0' : ' '));
                    break;
                default:
                    line += " 1.000e-0" + std::to_string(below(400));
                    break;
            }
        }
    }

    std::mt19937_64 random_;
};

}  // namespace chrony_lines
