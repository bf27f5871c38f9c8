// Records to tab-separated text and to Arrow columns.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tickline/logs/s3_access_columns.hpp"
#include "tickline/logs/s3_access_strict.hpp"
#include "tickline/logs/s3_access_tsv.hpp"

namespace {

using tickline::s3_field;

tickline::s3_access_record parsed(std::string_view line) {
    tickline::s3_access_record record;
    REQUIRE(tickline::parse_s3_access(line, record));
    return record;
}

const std::string plain_line =
    "o demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 - id REST.GET.OBJECT a/b \"GET /a/b HTTP/1.1\" 206 - 512 "
    "171408 53 "
    "52 \"-\" \"reader\" -";
const std::string local_line =
    "o demo [06/Feb/2024:00:00:38 +0130] - - id REST.GET.OBJECT a/b \"GET /a/b HTTP/1.1\" 200 - - - - - "
    "\"-\" "
    "\"reader\" -";

std::string written(std::string_view line, std::vector<s3_field> fields, bool strict = false) {
    tickline::s3_tsv_writer writer(std::move(fields), strict);
    const tickline::s3_access_record record = parsed(line);
    writer.append(std::span(&record, 1));
    CHECK(writer.rows() == 1);
    return std::string(writer.text());
}

const std::vector<s3_field> reduced = {s3_field::time, s3_field::remote_ip, s3_field::key,
                                       s3_field::bytes_sent};

bool keeps(const std::string& line) { return tickline::dandi_s3_log_parser_keeps(line, parsed(line)); }

}  // namespace

TEST_CASE("s3_tsv_writer: values, nulls and times in UTC") {
    CHECK(written(plain_line, reduced) == "2024-02-06T00:00:38\t192.0.2.3\ta/b\t512\n");
    CHECK(written(local_line, reduced) == "2024-02-05T22:30:38\t-\ta/b\t0\n");
    CHECK(written(local_line, {s3_field::object_size, s3_field::http_status, s3_field::referrer}) ==
          "-\t200\t-\n");
    CHECK(written(local_line, reduced, true) == "2024-02-06T00:00:38\t-\ta/b\t0\n");
}

TEST_CASE("s3_tsv_writer: a control byte cannot end a field or a row") {
    for (int byte = 1; byte < 256; ++byte) {
        if (byte == ' ' || byte == '\n') continue;
        for (const std::size_t at : {std::size_t{0}, std::size_t{3}, std::size_t{11}}) {
            std::string key = "abcdefghijkl";
            key[at] = static_cast<char>(byte);
            std::string line = plain_line;
            line.replace(line.find("a/b"), 3, key);
            const std::string text = written(line, {s3_field::key});
            if (byte < 0x20 || byte == 0x7f) {
                char expected[4];
                std::snprintf(expected, sizeof(expected), "%%%02X", static_cast<unsigned>(byte));
                key.replace(at, 1, expected);
            }
            CHECK(text == key + "\n");
        }
    }
}

TEST_CASE("s3_column_builder: types, nulls and a dictionary for what repeats") {
    const std::vector<s3_field> fields = {s3_field::key, s3_field::bytes_sent, s3_field::time,
                                          s3_field::request_id};
    tickline::s3_column_builder builder(fields);
    const tickline::s3_access_record records[] = {parsed(plain_line), parsed(local_line), parsed(plain_line)};
    REQUIRE(builder.append(records));
    CHECK(builder.rows() == 3);
    const auto batch = builder.finish();
    REQUIRE(batch.has_value());
    CHECK(builder.rows() == 0);
    CHECK(batch->num_rows() == 3);
    CHECK(batch->column(0).type.format == "i");
    REQUIRE(batch->column(0).dictionary != nullptr);
    CHECK(batch->column(0).dictionary->length == 1);
    CHECK(batch->column(1).null_count == 1);
    CHECK(batch->column(2).type.format == "tsm:UTC");
    CHECK(batch->column(3).type.format == "u");
}

TEST_CASE("dandi_s3_log_parser: what it keeps and what it drops") {
    const std::string head = "o demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 ";
    const std::string key = "blobs/0a1/b2c/0a1b2c3d";
    const std::string tail24 = " v h SigV4 c AuthHeader demo TLSv1.2";
    const auto line = [&](std::string_view who, std::string_view status, std::string_view agents,
                          std::string_view tail, std::string_view uri = "GET /x HTTP/1.1") {
        return head + std::string(who) + "id REST.GET.OBJECT " + key + " \"" + std::string(uri) + "\" " +
               std::string(status) + " " + std::string(agents) + std::string(tail);
    };
    CHECK(keeps(line("- ", "206 - 512 171408 53 52", "\"-\" \"reader\"", tail24)));
    // The short way needs no more than seven pieces between the first two quotes followed by blanks.
    CHECK(keeps(line("- ", "206 - 512 171408 53 52", "\"-\" \"reader\"", " v")));
    // An empty requester leaves the places as they are; a blank too many, or one inside it, moves the
    // operation.
    CHECK(keeps(line(" ", "206 - 512 171408 53 52", "\"-\" \"reader\"", tail24)));
    CHECK_FALSE(keeps(line(" who ", "206 - 512 171408 53 52", "\"-\" \"reader\"", tail24)));
    CHECK_FALSE(keeps(line("w h o ", "206 - 512 171408 53 52", "\"-\" \"reader\"", tail24)));
    // Without a number of bytes the long way is taken, which takes 24 to 26 pieces and no more.
    CHECK(keeps(line("- ", "200 - - 0 53 52", "\"-\" \"reader\"", tail24)));
    CHECK(keeps(line("- ", "200 - - 0 53 52", "\"-\" \"reader\"", tail24 + " - -")));
    // More than 26 pieces: its clean-up makes one dash of referrer and user agent, so 27 pass and 28 do not.
    CHECK(keeps(line("- ", "200 - - 0 53 52", "\"-\" \"reader\"", tail24 + " - - us-east-2")));
    CHECK_FALSE(keeps(line("- ", "200 - - 0 53 52", "\"-\" \"reader\"", tail24 + " - - us-east-2 new")));
    CHECK_FALSE(keeps(line("- ", "200 - - 0 53 52", "\"-\" \"reader\"", " v")));
    // A referrer with blanks makes more than seven pieces, and the regular expression reads it well.
    CHECK(keeps(line("- ", "206 - 512 171408 53 52", "\"a b c\" \"reader\"", tail24)));
    // Two blanks before the bucket or the IP, with nobody behind it, leave the operation in its place; but
    // then no time stands in the third place, and that program reads an empty IP in the fifth (ours is kept).
    const std::string rest = " \"GET /x HTTP/1.1\" 206 - 512 171408 53 52 \"-\" \"reader\"" + tail24;
    const std::string time = "[06/Feb/2024:00:00:38 +0000]";
    CHECK_FALSE(keeps("o  demo " + time + " 192.0.2.3 id REST.GET.OBJECT " + key + rest));
    CHECK_FALSE(keeps(" o demo " + time + " 192.0.2.3 id REST.GET.OBJECT " + key + rest));
    CHECK(keeps("o demo " + time + "  192.0.2.3 id REST.GET.OBJECT " + key + rest));
    // Two blanks before the key: the piece behind the operation is empty.
    CHECK_FALSE(keeps("o demo " + time + " 192.0.2.3 - id REST.GET.OBJECT  " + key + rest));
    // Python has no year 0. The clock decides, not UTC.
    const auto in = [&](std::string_view when) {
        return "o demo [" + std::string(when) + "] 192.0.2.3 - id REST.GET.OBJECT " + key + rest;
    };
    CHECK_FALSE(keeps(in("31/Dec/0000:23:59:59 +0000")));
    CHECK_FALSE(keeps(in("31/Dec/0000:23:59:59 -0730")));
    CHECK(keeps(in("01/Jan/0001:00:00:00 +0730")));
    CHECK(keeps(in("31/Dec/9999:23:59:59 -2359")));
    // Its lines begin behind a vertical tab, too.
    CHECK(keeps("o\vo demo " + time + " 192.0.2.3 - id REST.GET.OBJECT " + key + rest));
    CHECK_FALSE(keeps("o demo " + time + " \v192.0.2.3 - id REST.GET.OBJECT " + key + rest));
    // Its lines end at a vertical tab too. Enough stands before it here, and not there.
    CHECK(keeps(line("- ", "206 - 512 171408 53 52", "\"-\" \"rea\vder\"", tail24)));
    CHECK_FALSE(keeps(line("- ", "206 - 512 171408 53 52", "\"-\" \"reader\"", tail24, "GET /\vx HTTP/1.1")));
}

TEST_CASE("dandi_s3_log_parser: the clean-up of lines of more than 26 pieces") {
    const std::string head = "o demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 - id REST.GET.OBJECT blobs/a ";
    const std::string tail24 = " v h SigV4 c AuthHeader demo TLSv1.2";
    const auto line = [&](std::string_view uri, std::string_view agents, std::string_view tail) {
        return head + "\"GET " + std::string(uri) + " HTTP/1.1\" 200 - - 0 53 52 " + std::string(agents) +
               tail24 + std::string(tail);
    };
    // One ` "` more than `" `, or the other way round: it gives up.
    CHECK_FALSE(keeps(line("/x", "\"-\" \"a \"b\"", " - - us-east-2")));
    CHECK_FALSE(keeps(line("/x", "\"-\" \"a\" b\"", " - - us-east-2")));
    // As many of both: the fields that are left are counted again.
    CHECK(keeps(line("/x", "\"-\" \"a \"b c d\" e\"", "")));
    CHECK_FALSE(keeps(line("/x", "\"-\" \"a \"b c d\" e\"", " - - us-east-2")));
    // It looks for quotes among the first million of characters only, and for none behind.
    const std::string most(999'000, 'x');
    CHECK(keeps(line("/x", "\"-\" \"" + most + "\"", " - - us-east-2")));
    CHECK_FALSE(keeps(line("/x", "\"-\" \"" + most + most + "\"", " - - us-east-2")));
}

TEST_CASE("dandi_s3_log_parser: time is linear in the line") {
    const std::string head =
        "o demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 - id REST.GET.OBJECT blobs/a \"GET /x HTTP/1.1\" 200 "
        "- - "
        "0 53 52 \"-\" \"x\"";
    // A quadratic way takes minutes for each of these.
    for (const std::string& part : {std::string(" ["), std::string("\" "), std::string(" \""),
                                    std::string("\" \""), std::string(" [\"")}) {
        std::string text = head;
        while (text.size() < 4'000'000) text += part;
        CHECK_FALSE(keeps(text + "\" v h SigV4 c AuthHeader demo TLSv1.2"));
    }
}

TEST_CASE("parse_s3_access: a record that is used again keeps nothing of the line before") {
    tickline::s3_access_record record;
    REQUIRE(tickline::parse_s3_access(local_line, record));
    CHECK(record.zone_offset_ms == 90 * 60'000);
    REQUIRE(tickline::parse_s3_access(
        "o demo - - - id REST.GET.OBJECT a/b \"GET /a/b HTTP/1.1\" 200 - - - - - \"-\" \"reader\" -",
        record));
    CHECK_FALSE(record.time_ms.has_value());
    CHECK(record.zone_offset_ms == 0);
}
