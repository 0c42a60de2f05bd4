// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/csv.h"

namespace kvtoll {

Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text,
                                                        const std::string& where) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> row;
  std::string field;
  size_t line = 1;
  bool row_open = false;
  auto end_row = [&] {
    row.push_back(std::move(field));
    field.clear();
    rows.push_back(std::move(row));
    row.clear();
    row_open = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && field.empty()) {
      const size_t opened = line;
      for (++i; i < text.size(); ++i) {
        if (text[i] == '"') {
          if (i + 1 >= text.size() || text[i + 1] != '"') break;
          ++i;
        }
        line += text[i] == '\n';
        field += text[i];
      }
      if (i >= text.size()) return input_error("{}:{}: a quoted field never closes", where, opened);
      if (i + 1 < text.size() && text[i + 1] != ',' && text[i + 1] != '\n' && text[i + 1] != '\r')
        return input_error("{}:{}: text behind a closing quote", where, line);
      row_open = true;
    } else if (c == ',') {
      row.push_back(std::move(field));
      field.clear();
      row_open = true;
    } else if (c == '\n' || c == '\r') {
      if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
      if (row_open || !field.empty()) end_row();
      ++line;
    } else {
      field += c;
      row_open = true;
    }
  }
  if (row_open || !field.empty()) end_row();
  return rows;
}

}  // namespace kvtoll
