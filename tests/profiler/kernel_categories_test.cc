// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_categories.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* stack;
  const char* name;
  Category category;
  const char* part;
};

// Names as these stacks' traces show them.
constexpr Case kCases[] = {
    {"pytorch", "void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, 128>>(P)",
     Category::kAttention, "attention.core"},
    {"pytorch", "fmha_cutlassF_f16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::Params)",
     Category::kAttention, "attention.core"},
    {"pytorch", "void (anonymous namespace)::softmax_warp_forward<c10::Half, float, float, 6>(f)",
     Category::kAttention, "attention.softmax"},
    {"pytorch",
     "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, "
     "at::native::ArgMaxOps<float>, unsigned int, long, 4>>(x)",
     Category::kSampling, ""},
    {"pytorch",
     "void at::native::vectorized_elementwise_kernel<4, "
     "at::native::rsqrt_kernel_cuda(at::TensorIteratorBase&)::{lambda()#2}>(int)",
     Category::kNormalization, ""},
    {"pytorch",
     "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, "
     "4, 64, 64>(x)",
     Category::kMemory, "memory.concat"},
    {"pytorch",
     "void at::native::vectorized_elementwise_kernel<8, "
     "at::native::CUDAFunctor_add<c10::Half>, std::array<char*, 3>>(int)",
     Category::kElementwise, "elementwise.arithmetic"},
    {"quanto", "unpack_4bit_kernel(unsigned char*, unsigned char*, int)", Category::kDequantization,
     "dequantization.unpack"},
    {"cublas", "nvjet_sm90_hsh_64x8_64x16_4x1_v_bz_TNT", Category::kFfn, "ffn.matmul"},
    {"cublas", "void gemv2T_kernel_val<int, int, __half>(x)", Category::kFfn, "ffn.matmul"},
    {"cublas", "ampere_fp16_s16816gemm_fp16_64x64_ldg8_f2f_tn", Category::kFfn, "ffn.matmul"},
    {"cutlass", "void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816>(x)", Category::kFfn,
     "ffn.matmul"},
    {"inductor", "triton_red_fused__to_copy_add_embedding_mean_mul_pow_rsqrt_0",
     Category::kNormalization, "normalization.fused"},
    {"inductor", "triton_poi_fused_add_arange_index_copy_transpose_view_4", Category::kMemory,
     "memory.append"},
    {"inductor", "triton_poi_fused__unsafe_view_mul_silu_9", Category::kElementwise,
     "elementwise.activation"},
    {"inductor", "triton_poi_fused__scaled_dot_product_cudnn_attention_cat_cos_mul_neg_sin_1",
     Category::kElementwise, "elementwise.rope"},
    {"vllm", "void vllm::paged_attention_v2_kernel<__half, __half, 128, 16, 128>(x)",
     Category::kAttention, "attention.core"},
    {"vllm", "void vllm::reshape_and_cache_flash_kernel<__half, unsigned char>(x)",
     Category::kMemory, "memory.append"},
    {"vllm", "kernel_unified_attention_2d", Category::kAttention, "attention.core"},
    {"vllm", "void vllm::fused_add_rms_norm_kernel<c10::Half, 8>(x)", Category::kNormalization, ""},
    {"vllm", "void vllm::rotary_embedding_kernel<c10::Half, true>(x)", Category::kElementwise,
     "elementwise.rope"},
    {"vllm", "void vllm::act_and_mul_kernel<c10::Half, &vllm::silu_kernel<c10::Half>>(x)",
     Category::kElementwise, "elementwise.activation"},
    {"vllm", "void vllm::scaled_fp8_quant_kernel_strided<c10::Half>(x)", Category::kDequantization,
     "dequantization.quantize"},
    {"llama.cpp", "void flash_attn_ext_vec<128, 1, (ggml_type)8, (ggml_type)8>(char const*)",
     Category::kAttention, "attention.core"},
    {"llama.cpp", "void mul_mat_vec_q<(ggml_type)2, 1, false>(void const*)", Category::kFfn,
     "ffn.matmul"},
    {"llama.cpp", "quantize_q8_1(float const*, void*, long)", Category::kDequantization,
     "dequantization.quantize"},
    {"llama.cpp", "void dequantize_block_q4_0<__half>(void const*, __half*)",
     Category::kDequantization, "dequantization.dequantize"},
    {"llama.cpp", "void rms_norm_f32<1024, true, false>(float const*, float*)",
     Category::kNormalization, ""},
    {"llama.cpp", "void rope_neox<true, false, float, float>(float const*)", Category::kElementwise,
     "elementwise.rope"},
    {"llama.cpp", "void k_set_rows_quant<long, block_q8_0>(float const*)", Category::kMemory,
     "memory.append"},
    {"llama.cpp", "void k_bin_bcast<&op_add, float, float, float>(float const*)",
     Category::kElementwise, "elementwise.arithmetic"},
    {"tensorrt-llm", "void mmha::masked_multihead_attention_kernel<unsigned short, 128>(x)",
     Category::kAttention, "attention.core"},
    {"tensorrt-llm", "void tensorrt_llm::kernels::applyBiasRopeUpdateKVCacheV2<__half>(x)",
     Category::kMemory, "memory.append"},
    {"tensorrt-llm", "void tensorrt_llm::kernels::generalRmsNorm<__half, float>(x)",
     Category::kNormalization, ""},
    {"tensorrt-llm", "void tensorrt_llm::kernels::topKStage1<float, 256>(x)", Category::kSampling,
     ""},
    {"flashinfer", "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(PosEncodingMode)0>(x)",
     Category::kAttention, "attention.core"},
    {"flashinfer", "void flashinfer::AppendPagedKVCacheDecodeKernel<128, 8>(x)", Category::kMemory,
     "memory.append"},
    {"flashinfer", "void flashinfer::sampling::TopKTopPSamplingFromProbKernel<1024>(x)",
     Category::kSampling, ""},
    {"flashinfer", "void flashinfer::norm::FusedAddRMSNormKernel<8, __half>(x)",
     Category::kNormalization, ""},
    {"bitsandbytes", "void kDequantizeBlockwise<__half, 512, 64, 8, 2>(float*)",
     Category::kDequantization, "dequantization.dequantize"},
    {"cuda", "Memcpy HtoD (Pageable -> Device)", Category::kMemory, "memory.copy"},
    {"cuda", "[CUDA memset]", Category::kMemory, "memory.fill"},
    {"nccl", "ncclDevKernel_AllReduce_Sum_f16_RING_LL(x)", Category::kOther, "other.communication"},
};

TEST(KernelCategories, KnowsTheStacksThatPeopleRun) {
  for (const Case& c : kCases) {
    const KernelClass kind = classify(c.name);
    EXPECT_TRUE(kind.known) << c.name;
    EXPECT_EQ(category_name(kind.category), category_name(c.category)) << c.name;
    EXPECT_EQ(kind.part, c.part) << c.name;
  }
}

TEST(KernelCategories, UnknownStaysUnknown) {
  const KernelClass kind = classify("frobnicate_v2");
  EXPECT_FALSE(kind.known);
  EXPECT_EQ(kind.category, Category::kOther);
  EXPECT_FALSE(classify("").known);
}

TEST(KernelCategories, PartsBelongToTheirCategory) {
  for (const KernelPattern& row : kernel_patterns()) {
    if (row.part.empty()) continue;
    EXPECT_TRUE(row.part.starts_with(category_name(row.category))) << row.pattern;
  }
}

TEST(KernelCategories, ContextDecidesOnlyWhereTheNameCannot) {
  const KernelClass product = classify("nvjet_sm90_hsh_64x8");
  EXPECT_EQ(refine(product, "nn.Module: Qwen2Attention_0").part, "attention.projection");
  EXPECT_EQ(refine(product, "nn.Module: Qwen2MLP_3/nn.Module: Linear_9").part, "ffn.mlp");
  EXPECT_EQ(refine(product, "nn.Module: Linear_14").part, "ffn.lm_head");
  EXPECT_EQ(refine(product, "").part, "ffn.matmul");
  const KernelClass core = classify("flash_fwd_kernel");
  EXPECT_EQ(refine(core, "nn.Module: Qwen2MLP_3").part, "attention.core");
  const KernelClass multiply = classify("aten::mul");
  EXPECT_EQ(refine(multiply, "transformers/cache_utils.py(880): _dequantize").part,
            "dequantization.dequantize");
  EXPECT_EQ(refine(multiply, "transformers/cache_utils.py(870): _quantize").part,
            "dequantization.quantize");
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> find_all(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it)
    found.insert((*it)[1]);
  return found;
}

// A kernel's name is public: each one of ours must stand in the table by its whole name.
TEST(KernelCategories, EveryKernelOfOursIsInTheTable) {
  const std::regex cpu_op("\"(cpu_[a-z0-9_]+)\"");
  const std::regex gpu_kernel(
      "__global__[^;{(]*?(?:__launch_bounds__\\([^)]*\\)\\s*)?"
      "([a-z0-9_]+_kernel)\\s*\\(");
  std::set<std::string> names;
  for (const char* room : {"backends", "formats", "device", "cache", "engine"}) {
    const fs::path folder = fs::path(KVTOLL_SOURCE_DIR) / "src/kvtoll" / room;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const std::string text = slurp(entry.path());
      names.merge(find_all(text, cpu_op));
      names.merge(find_all(text, gpu_kernel));
    }
  }
  EXPECT_GT(names.size(), 20u) << "the sources were not found or their form has changed";
  const auto patterns = kernel_patterns();
  for (const std::string& name : names)
    EXPECT_TRUE(std::any_of(
        patterns.begin(), patterns.end(),
        [&](const KernelPattern& row) { return row.match == Match::kName && row.pattern == name; }))
        << name << " is not in profiler/kernel_patterns.inc";
}

}  // namespace
}  // namespace kvtoll::profiler
