// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/document.h"

#include <fmt/format.h>

namespace kvtoll::report {
namespace {

constexpr std::string_view kStyle = R"CSS(
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: #1d2330;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; padding-bottom: 6px; border-bottom: 2px solid #d9dde5; }
.subtitle { color: #5a6475; margin: 0 0 20px; font-size: 16px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 0;
  background: #fff; border: 1px solid #e1e4ea; border-radius: 8px; padding: 14px 18px; font-size: 13.5px; }
dt { color: #5a6475; } dd { margin: 0; overflow-wrap: anywhere; }
dd code { font-size: 12.5px; }
ul { padding-left: 20px; margin: 8px 0; } li { margin: 4px 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(500px, 1fr)); gap: 18px; }
figure { margin: 0; background: #fff; border: 1px solid #e1e4ea; border-radius: 8px; padding: 12px 14px; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { color: #5a6475; font-size: 13px; margin-top: 6px; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid #e1e4ea; border-radius: 8px; margin: 8px 0; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid #eef0f4; }
th { color: #5a6475; font-weight: 600; background: #fafbfc; position: sticky; top: 0; }
th.t, td.t { text-align: left; } tr:last-child td { border-bottom: 0; } tbody tr:hover td { background: #f7f9fc; }
.note { color: #5a6475; font-size: 13.5px; }
footer { margin-top: 40px; color: #7a8494; font-size: 13px; }
@media (max-width: 620px) { .figures { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } figure, .scroll { break-inside: avoid; } }
)CSS";

std::string markdown_cell(std::string text) {
  for (size_t i = 0; (i = text.find('|', i)) != text.npos; i += 2) text.insert(i, "\\");
  return text;
}

std::string markdown_table(const TableBlock& table) {
  std::string out = "|", rule = "|";
  for (size_t i = 0; i < table.header.size(); ++i) {
    out += " " + markdown_cell(table.header[i]) + " |";
    rule += i < table.text_columns ? " --- |" : " ---: |";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    out += "|";
    for (const std::string& cell : row) out += " " + markdown_cell(cell) + " |";
    out += "\n";
  }
  return out + "\n";
}

std::string html_table(const TableBlock& table) {
  const auto line = [&](const std::vector<std::string>& cells, std::string_view tag) {
    std::string out = "<tr>";
    for (size_t i = 0; i < cells.size(); ++i)
      out += fmt::format("<{0}{1}>{2}</{0}>", tag, i < table.text_columns ? " class=\"t\"" : "",
                         html_escape(cells[i]));
    return out + "</tr>\n";
  };
  std::string out =
      "<div class=\"scroll\"><table>\n<thead>" + line(table.header, "th") + "</thead>\n<tbody>\n";
  for (const auto& row : table.rows) out += line(row, "td");
  return out + "</tbody></table></div>\n";
}

// gnuplot's file without the XML prologue, which may not stand inside HTML.
std::string_view inline_svg(std::string_view svg) {
  const size_t begin = svg.find("<svg");
  return begin == svg.npos ? std::string_view() : svg.substr(begin);
}

std::string html_section(const Section& section) {
  std::string out = fmt::format("<section>\n<h2>{}</h2>\n", html_escape(section.title));
  if (!section.sentences.empty()) {
    out += "<ul>\n";
    for (const std::string& s : section.sentences) out += "<li>" + html_escape(s) + "</li>\n";
    out += "</ul>\n";
  }
  for (const TableBlock& table : section.tables) out += html_table(table);
  if (!section.figures.empty()) {
    out += "<div class=\"figures\">\n";
    for (const FigureBlock& figure : section.figures)
      out += fmt::format("<figure>\n{}\n<figcaption>{}</figcaption>\n</figure>\n",
                         inline_svg(figure.svg), html_escape(figure.caption));
    out += "</div>\n";
  }
  if (!section.note.empty()) out += "<p class=\"note\">" + html_escape(section.note) + "</p>\n";
  return out + "</section>\n";
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string table_text(const TableBlock& table) {
  std::vector<std::vector<std::string>> lines = {table.header};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<size_t> widths(table.header.size(), 0);
  for (const auto& line : lines)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i)
      text += i < table.text_columns ? fmt::format("{:<{}}  ", line[i], widths[i])
                                     : fmt::format("{:>{}}  ", line[i], widths[i]);
    text += "\n";
  }
  return text;
}

std::string to_markdown(const Document& document) {
  std::string out = fmt::format("# {}\n\n{}\n\n", document.title, document.subtitle);
  for (const auto& [name, value] : document.facts) out += fmt::format("- {}: {}\n", name, value);
  for (const Section& section : document.sections) {
    out += fmt::format("\n## {}\n\n", section.title);
    for (const std::string& s : section.sentences) out += "- " + s + "\n";
    if (!section.sentences.empty()) out += "\n";
    for (const TableBlock& table : section.tables) out += markdown_table(table);
    for (const FigureBlock& figure : section.figures)
      out += fmt::format("![{}]({}.svg)\n\n{}\n\n", figure.caption, figure.file, figure.caption);
    if (!section.note.empty()) out += section.note + "\n";
  }
  return out;
}

std::string to_html(const Document& document) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n<p "
      "class=\"subtitle\">{}</p>\n<dl>\n",
      html_escape(document.title), kStyle, html_escape(document.title),
      html_escape(document.subtitle));
  for (const auto& [name, value] : document.facts)
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escape(name), html_escape(value));
  out += "</dl>\n";
  for (const Section& section : document.sections) out += html_section(section);
  return out + "<footer>Made by kvtoll report.</footer>\n</main>\n</body>\n</html>\n";
}

}  // namespace kvtoll::report
