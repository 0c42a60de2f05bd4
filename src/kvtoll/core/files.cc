// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kvtoll {
namespace {

// Closes on scope exit.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return machine_error("{}: cannot write: {}; free space or choose another folder",
                           path.string(), std::strerror(errno));
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0)
    return input_error("{}: cannot open: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return input_error("{}: not a regular file", path.string());
  const auto size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED)
      return input_error("{}: cannot map: {}", path.string(), std::strerror(errno));
  }
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<const std::byte*>(data), size));
}

Result<std::string> read_file(const std::filesystem::path& path) {
  KVTOLL_TRY(auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  std::error_code ec;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ec);
  if (ec)
    return machine_error("{}: cannot make the folder: {}", path.parent_path().string(),
                         ec.message());
  const std::string temporary = fmt::format("{}.tmp{}", path.string(), ::getpid());
  FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0)
    return machine_error("{}: cannot write here: {}; check the folder's permissions", path.string(),
                         std::strerror(errno));
  Result<void> written = write_all(fd.get(), content, path);
  if (written && (::fsync(fd.get()) != 0 || ::close(fd.release()) != 0))
    written = machine_error("{}: cannot write: {}", path.string(), std::strerror(errno));
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = machine_error("{}: cannot rename the finished file: {}", path.string(),
                            std::strerror(errno));
  if (!written) ::unlink(temporary.c_str());
  return written;
}

}  // namespace kvtoll
