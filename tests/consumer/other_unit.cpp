#include <string_view>
#include <tickline/tickline.hpp>

bool other_unit_parses(std::string_view line) {
    tickline::s3_access_record record;
    return static_cast<bool>(tickline::parse_s3_access(line, record));
}
