// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "kvtoll/model/tokenizer.h"

namespace kvtoll {
namespace {

using ::testing::HasSubstr;

// The models whose templates chat.json names instead of holding; where they are on this machine.
const std::map<std::string, std::string> kModels = {
    {"deepseek-r1-distill-qwen-7b",
     std::string(KVTOLL_SOURCE_DIR) + "/../shared/data/deepseek-r1-distill-qwen-7b/header.gguf"},
    {"smollm2", std::string(KVTOLL_SOURCE_DIR) + "/build/models/SmolLM2-135M-Instruct.Q4_1.gguf"},
};

// The template of a case; empty when its model is not here.
std::string template_of(const nlohmann::json& test) {
  if (test.contains("template")) return test["template"];
  static std::map<std::string, std::string> read;
  const std::string model = test["model"];
  if (!std::filesystem::exists(kModels.at(model))) return "";
  if (!read.contains(model)) read[model] = (*open_tokenizer(kModels.at(model)))->chat_template();
  return read[model];
}

TEST(Chat, RendersAsTransformersDoes) {
  std::ifstream file(std::string(KVTOLL_TEST_DATA) + "/tokenizer/chat.json");
  const auto golden = nlohmann::json::parse(file);
  int checked = 0;
  for (const auto& test : golden["cases"]) {
    const std::string chat_template = template_of(test);
    if (chat_template.empty()) continue;
    const auto format = recognize_chat_format(chat_template, "test");
    ASSERT_TRUE(format) << test["name"];
    std::vector<ChatMessage> messages;
    for (const auto& m : test["messages"]) messages.push_back({m["role"], m["content"]});
    std::string expected = test["expected"];
    // <think> is forced, whether the template writes it or leaves it to the model.
    if (*format == ChatFormat::kR1Distill && !expected.ends_with("<think>\n"))
      expected += "<think>\n";
    EXPECT_EQ(render_chat(*format, chat_template, messages), expected) << test["name"];
    ++checked;
  }
  EXPECT_GE(checked, 64);
}

TEST(Chat, UnknownTemplatesSayHowToPassThePromptRaw) {
  for (const std::string unknown :
       {"", " \n", "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]",
        "{% for m in messages %}{{'<|im_start|>' + m.role + '<|im_sep|>' + m.content + "
        "'<|im_end|>'}}{% endfor %}",
        "{{'<｜User｜>' + messages[0].content + '<｜Assistant｜>'}}"}) {
    const auto format = recognize_chat_format(unknown, "some.gguf");
    ASSERT_FALSE(format) << unknown;
    EXPECT_EQ(format.error().kind, ErrorKind::kInput);
    EXPECT_THAT(format.error().message, HasSubstr("some.gguf"));
    EXPECT_THAT(format.error().message, HasSubstr("--raw"));
  }
}

TEST(Chat, BrokenTemplatesDoNoHarm) {
  for (const std::string broken : {"{{ 'open", "{{ '\\", "{%", "{{ '<|im_start|>system\\n",
                                   "Cutting Knowledge Date set date_string = \"", "\xE2\x82"}) {
    for (const auto format : {ChatFormat::kR1Distill, ChatFormat::kChatMl, ChatFormat::kLlama3}) {
      EXPECT_THAT(render_chat(format, broken, {{"user", "hello \xE2"}}), HasSubstr("hello"));
      EXPECT_FALSE(render_chat(format, broken, {}).empty());
    }
    EXPECT_FALSE(recognize_chat_format(broken, "test"));
  }
}

}  // namespace
}  // namespace kvtoll
