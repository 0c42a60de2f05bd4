// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/datasets.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "kvtoll/core/files.h"
#include "kvtoll/quality/answer_extraction.h"
#include "kvtoll/quality/csv.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string text_of(const json& object, const char* field) {
  const auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// 5, "5" or "Level 5".
int level_of(const json& object) {
  const auto it = object.find("level");
  if (it == object.end()) return 0;
  if (it->is_number_integer()) return it->get<int>();
  if (!it->is_string()) return 0;
  const auto text = it->get<std::string>();
  return !text.empty() && text.back() >= '0' && text.back() <= '9' ? text.back() - '0' : 0;
}

Result<Question> math_question(const json& object, std::string id, const std::string& where) {
  if (!object.is_object()) return input_error("{}: not a JSON object", where);
  Question q;
  q.id = text_of(object, "unique_id").empty() ? std::move(id) : text_of(object, "unique_id");
  q.text = text_of(object, "problem");
  q.group = text_of(object, "subject");
  if (q.group.empty()) q.group = text_of(object, "type");
  q.level = level_of(object);
  q.answer = text_of(object, "answer");
  if (q.text.empty()) return input_error("{}: no text in the field `problem`", where);
  if (q.answer.empty()) {
    auto boxed = last_boxed(text_of(object, "solution"));
    if (!boxed)
      return input_error("{}: neither `answer` nor a \\boxed{{...}} in `solution`", where);
    q.answer = *std::move(boxed);
  }
  return q;
}

// Calls row(object, where) for every line that is not blank.
template <class Row>
Result<void> each_line(const fs::path& path, const Row& row) {
  KVTOLL_TRY(const std::string content, read_file(path));
  std::istringstream in(content);
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    const json object = json::parse(line, nullptr, false);
    if (object.is_discarded()) return input_error("{}: not JSON", where);
    KVTOLL_TRY_VOID(row(object, where, number));
  }
  return {};
}

Result<void> check_unique(const Dataset& data, const fs::path& path) {
  if (data.questions.empty())
    return input_error("{}: no questions found; see docs/evaluating.md for the layouts",
                       path.string());
  std::set<std::string> ids;
  for (const Question& q : data.questions)
    if (!ids.insert(q.id).second)
      return input_error("{}: two questions have the id {}", path.string(), q.id);
  return {};
}

std::vector<fs::path> files_below(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error) && it->path().extension() == extension)
      files.push_back(it->path());
  std::sort(files.begin(), files.end());
  return files;
}

bool is_letter_answer(const std::string& s) { return s.size() == 1 && s[0] >= 'A' && s[0] <= 'D'; }

Result<std::vector<Question>> mmlu_csv(const fs::path& path, const std::string& subject) {
  KVTOLL_TRY(const std::string content, read_file(path));
  KVTOLL_TRY(const auto rows, parse_csv(content, path.string()));
  std::vector<Question> questions;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    if (row.size() != 6 || !is_letter_answer(row[5]))
      return input_error("{}: row {} is not question, A, B, C, D, letter", path.string(), i + 1);
    questions.push_back({fmt::format("{}/{}", subject, i),
                         subject,
                         0,
                         row[0],
                         {row[1], row[2], row[3], row[4]},
                         row[5]});
  }
  return questions;
}

Result<void> load_examples(const fs::path& folder, Examples& examples) {
  for (const fs::path& file : files_below(folder, ".csv")) {
    std::string subject = file.stem().string();
    if (subject.ends_with("_dev")) subject.resize(subject.size() - 4);
    KVTOLL_TRY(auto questions, mmlu_csv(file, subject));
    examples.by_group.emplace_back(subject, std::move(questions));
  }
  return {};
}

}  // namespace

Result<Dataset> load_math(const fs::path& path) {
  Dataset data;
  if (fs::is_directory(path)) {
    for (const fs::path& file : files_below(path, ".json")) {
      KVTOLL_TRY(const std::string content, read_file(file));
      KVTOLL_TRY(Question q, math_question(json::parse(content, nullptr, false),
                                           fs::relative(file, path).string(), file.string()));
      data.questions.push_back(std::move(q));
    }
  } else {
    KVTOLL_TRY_VOID(each_line(
        path, [&](const json& object, const std::string& where, int number) -> Result<void> {
          KVTOLL_TRY(Question q, math_question(object, fmt::format("line{}", number), where));
          data.questions.push_back(std::move(q));
          return {};
        }));
  }
  KVTOLL_TRY_VOID(check_unique(data, path));
  return data;
}

Result<Dataset> load_mmlu(const fs::path& path, const std::string& split) {
  Dataset data;
  if (fs::is_directory(path)) {
    const std::string ending = "_" + split;
    for (const fs::path& file : files_below(path / split, ".csv")) {
      std::string subject = file.stem().string();
      if (subject.ends_with(ending)) subject.resize(subject.size() - ending.size());
      KVTOLL_TRY(auto questions, mmlu_csv(file, subject));
      std::move(questions.begin(), questions.end(), std::back_inserter(data.questions));
    }
    KVTOLL_TRY_VOID(load_examples(path / "dev", data.examples));
  } else {
    KVTOLL_TRY_VOID(
        each_line(path, [&](const json& object, const std::string& where, int) -> Result<void> {
          Question q{text_of(object, "id"),
                     text_of(object, "subject"),
                     0,
                     text_of(object, "question"),
                     {},
                     text_of(object, "answer")};
          const auto choices = object.find("choices");
          if (choices != object.end() && choices->is_array())
            for (const json& choice : *choices)
              if (choice.is_string()) q.choices.push_back(choice.get<std::string>());
          if (q.id.empty() || q.text.empty() || q.choices.size() != 4 ||
              !is_letter_answer(q.answer))
            return input_error("{}: wants id, subject, question, four choices and a letter", where);
          data.questions.push_back(std::move(q));
          return {};
        }));
    KVTOLL_TRY_VOID(load_examples(path.parent_path() / "dev", data.examples));
  }
  KVTOLL_TRY_VOID(check_unique(data, path));
  return data;
}

}  // namespace kvtoll
