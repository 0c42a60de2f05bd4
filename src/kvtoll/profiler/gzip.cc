// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "kvtoll/core/check.h"

namespace kvtoll::profiler {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to ask for the gzip wrapper

// Keeps zlib's state released on every path.
struct Inflater {
  z_stream stream{};
  bool ready = false;
  Inflater() { ready = inflateInit2(&stream, kGzipOnly) == Z_OK; }
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  KVTOLL_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipOnly, 8,
                            Z_DEFAULT_STRATEGY) == Z_OK,
               "zlib has no memory for {} bytes", bytes.size());
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int state = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  KVTOLL_CHECK(state == Z_STREAM_END, "zlib stopped with {} after {} bytes", state, out.size());
  return out;
}

Result<std::string> gunzip(std::string_view bytes, size_t limit) {
  Inflater z;
  if (!z.ready) return machine_error("zlib has no memory to unpack a gzip file");
  std::string out;
  size_t taken = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (z.stream.avail_in == 0) {
      const size_t piece =
          std::min(bytes.size() - taken, size_t{std::numeric_limits<uInt>::max()} / 2);
      if (piece == 0) return input_error("the gzip data is cut off after {} bytes", bytes.size());
      z.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + taken));
      z.stream.avail_in = static_cast<uInt>(piece);
      taken += piece;
    }
    const size_t have = out.size();
    out.resize(have + kChunk);
    z.stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    z.stream.avail_out = kChunk;
    state = inflate(&z.stream, Z_NO_FLUSH);
    out.resize(out.size() - z.stream.avail_out);
    if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
      return input_error("the gzip data is damaged near byte {} ({})", z.stream.total_in,
                         z.stream.msg ? z.stream.msg : "zlib error");
    if (out.size() > limit)
      return input_error("the gzip data unpacks to more than {} bytes", limit);
  }
  return out;
}

}  // namespace kvtoll::profiler
