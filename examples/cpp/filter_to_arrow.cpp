// Downloads of one prefix as Arrow columns, by the block loop: what pipelines do. No Arrow library is needed;
// whoever takes the ArrowArrayStream (pyarrow, DuckDB, polars ...) releases it.
#include <array>
#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tickline/logs/s3_access_columns.hpp"
#include "tickline/logs/s3_access_scan.hpp"

int main() {
    std::string text;
    for (int i = 0; i < 1000; ++i) {
        text += "79a59df9 demo [06/Feb/2026:00:00:38 +0000] 192.0.2." + std::to_string(i % 50) +
                " - 3E57427F3 " + (i % 4 == 0 ? "REST.HEAD.OBJECT" : "REST.GET.OBJECT") + " zarr/" +
                std::to_string(i % 3) + "/0/0 \"GET /zarr HTTP/1.1\" 200 - 10 10 7 6 \"-\" \"curl/8.5\" -\n";
    }

    tickline::s3_access_filter filter;
    filter.operations = {"REST.GET.OBJECT"};
    filter.keys = {{"zarr", 2}};  // keys below zarr/, cut to zarr/<id>

    const std::vector<tickline::s3_field> fields = {tickline::s3_field::time, tickline::s3_field::key,
                                                    tickline::s3_field::bytes_sent};
    tickline::s3_field_set wanted;
    for (const tickline::s3_field field : fields) wanted.add(field);

    tickline::s3_access_scanner scanner(filter, wanted);
    tickline::s3_column_builder columns(fields);
    std::array<tickline::s3_access_record, 64> rows;
    scanner.start(text, 0);
    while (!scanner.done()) {
        const std::size_t count = scanner.next(rows);
        if (!columns.append(std::span(rows.data(), count))) return 1;  // more than 2 GiB of text
    }

    auto batch = columns.finish();
    if (!batch) return 1;
    ArrowArrayStream stream;
    if (tickline::export_stream(batch->schema(), {*batch}, &stream) != 0) return 1;
    stream.release(&stream);

    const tickline::line_accounting& counts = scanner.counts();
    std::cout << counts.lines << " lines: " << counts.accepted << " accepted, "
              << counts.filtered[static_cast<int>(tickline::filter_reason::operation)]
              << " filtered by operation\n"
              << batch->num_rows() << " rows, " << batch->column(1).dictionary->length << " keys\n";
    return counts.adds_up() && batch->num_rows() == 750 && batch->column(1).dictionary->length == 3 ? 0 : 1;
}
