// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A report before it is Markdown or HTML: sections of sentences, tables and figures.
// Example: Document d{"Title"};  d.sections.push_back({"Findings", {"..."}});  to_markdown(d);
#pragma once

#include <string>
#include <vector>

namespace kvtoll::report {

struct TableBlock {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  size_t text_columns = 1;  // so many are aligned left, the others right
};

struct FigureBlock {
  std::string file;  // relative to the report, without ending
  std::string svg;   // embedded into the HTML
  std::string caption;
};

struct Section {
  std::string title;
  std::vector<std::string> sentences;  // a list
  std::vector<TableBlock> tables;
  std::vector<FigureBlock> figures;
  std::string note;  // a paragraph below
};

struct Document {
  std::string title;
  std::string subtitle;
  std::vector<std::pair<std::string, std::string>> facts;  // provenance: name, value
  std::vector<Section> sections;
};

std::string table_text(const TableBlock& table);  // aligned, for a terminal
std::string to_markdown(const Document& document);
std::string to_html(const Document& document);  // one page, nothing is loaded from elsewhere
std::string html_escape(std::string_view text);

}  // namespace kvtoll::report
