// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// kvtoll tokenize: text on stdin to token ids on stdout, and back.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "kvtoll/cli/command.h"
#include "kvtoll/model/chat.h"
#include "kvtoll/model/tokenizer.h"
#include "kvtoll/model/unicode.h"

namespace kvtoll::cli {
namespace {

struct Options {
  std::string model;
  bool decode = false, lines = false, json = false, add_bos = false, skip_special = false;
  bool chat = false;
};

// The prompt that `kvtoll generate` makes of a user's message.
Result<std::string> chat_prompt(const Tokenizer& tokenizer, const Options& options,
                                std::string_view text) {
  KVTOLL_TRY(const ChatFormat format,
             recognize_chat_format(tokenizer.chat_template(), options.model));
  return render_chat(format, tokenizer.chat_template(), {{"user", std::string(text)}});
}

void print_ids(const Tokenizer& tokenizer, const Options& options, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (options.add_bos) ids.insert(ids.begin(), *tokenizer.bos());
  if (!options.json) return fmt::print("{}\n", fmt::join(ids, " "));
  std::vector<std::string> pieces;
  for (int32_t id : ids) pieces.push_back(valid_utf8(tokenizer.decode({id})));
  fmt::print("{}\n", nlohmann::json{{"ids", ids}, {"pieces", pieces}}.dump());
}

void print_text(const Tokenizer& tokenizer, const Options& options,
                const std::vector<int32_t>& ids) {
  const std::string text = tokenizer.decode(ids, options.skip_special);
  if (options.json)
    fmt::print("{}\n", nlohmann::json{{"text", valid_utf8(text)}}.dump());
  else
    std::fwrite(text.data(), 1, text.size(), stdout);
  if (options.lines && !options.json) std::putchar('\n');
}

Result<void> convert(const Tokenizer& tokenizer, const Options& options, std::string_view text,
                     const std::string& where) {
  if (options.chat) {
    KVTOLL_TRY(const std::string prompt, chat_prompt(tokenizer, options, text));
    print_ids(tokenizer, options, prompt);
    return {};
  }
  if (!options.decode) return print_ids(tokenizer, options, text), Result<void>();
  KVTOLL_TRY(const auto ids, parse_token_ids(text, tokenizer.vocab_size(), where));
  print_text(tokenizer, options, ids);
  return {};
}

Result<void> run(const Options& options) {
  KVTOLL_TRY(const auto tokenizer, open_tokenizer(options.model));
  if (options.add_bos && !tokenizer->bos())
    return usage_error("{}: the model names no bos token; leave out --add-bos", options.model);
  if (!options.lines) {
    const std::string text(std::istreambuf_iterator<char>(std::cin), {});
    return convert(*tokenizer, options, text, "stdin");
  }
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number)
    KVTOLL_TRY_VOID(convert(*tokenizer, options, line, fmt::format("stdin line {}", number)));
  return {};
}

}  // namespace

void setup_tokenize(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<Options>();
  app.add_option("--model", options->model, "a model folder, its tokenizer.json, or a .gguf file")
      ->required();
  auto* decode = app.add_flag("--decode", options->decode,
                              "ids on stdin to text; the bytes exactly, no newline");
  app.add_flag("--chat", options->chat,
               "stdin is a user's message: the ids of the prompt in the model's chat format")
      ->excludes(decode);
  app.add_flag("--lines", options->lines, "each line of stdin by itself, without its newline");
  app.add_flag("--json", options->json, "a JSON object per text: ids and pieces, or text");
  app.add_flag("--add-bos", options->add_bos, "put the model's bos token first");
  app.add_flag("--skip-special", options->skip_special, "leave special tokens out of decoded text");
  app.callback([options, &exit_code] {
    std::ios::sync_with_stdio(false);
    if (const auto done = run(*options); !done) exit_code = fail(done.error());
  });
}

}  // namespace kvtoll::cli
