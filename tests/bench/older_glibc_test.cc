// SPDX-License-Identifier: Apache-2.0
//
// bench/gpu_bundle/older_glibc.c, with libstdc++ and libgcc linked statically as in the bundle:
// exceptions find their way, and random devices give random words.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>
#include <thread>

namespace {

[[gnu::noinline]] int fall(int depth) {
  const std::string kept(100, 'x');  // to be destroyed on the way
  if (depth == 0) throw std::runtime_error("at the bottom");
  return fall(depth - 1) + static_cast<int>(kept.size());
}

TEST(OlderGlibc, ExceptionsAreCaughtInEveryThread) {
  for (int depth : {0, 1, 50}) EXPECT_THROW((void)fall(depth), std::runtime_error);
  bool is_caught = false;
  std::thread([&is_caught] {
    try {
      (void)fall(5);
    } catch (const std::exception& error) {
      is_caught = error.what() == std::string("at the bottom");
    }
  }).join();
  EXPECT_TRUE(is_caught);
}

// By a name that the compiler does not see through.
int find(void* address, dl_find_object* result) { return _dl_find_object(address, result); }

TEST(OlderGlibc, AddressesAreFoundInTheirObjectsAndNowhereElse) {
  dl_find_object here{};
  ASSERT_EQ(find(reinterpret_cast<void*>(&fall), &here), 0);
  EXPECT_NE(here.dlfo_eh_frame, nullptr);
  EXPECT_LE(here.dlfo_map_start, reinterpret_cast<void*>(&fall));
  EXPECT_GT(here.dlfo_map_end, reinterpret_cast<void*>(&fall));
  dl_find_object elsewhere{};
  void* const in_libc = dlsym(RTLD_DEFAULT, "qsort");
  ASSERT_NE(in_libc, nullptr);
  ASSERT_EQ(find(in_libc, &elsewhere), 0);
  EXPECT_NE(elsewhere.dlfo_eh_frame, here.dlfo_eh_frame);
  EXPECT_EQ(find(nullptr, &here), -1);
  int on_the_stack = 0;
  EXPECT_EQ(find(&on_the_stack, &here), -1);
}

TEST(OlderGlibc, RandomWordsDiffer) {
  std::random_device device;
  std::set<unsigned> words;
  for (int i = 0; i < 100; ++i) words.insert(device());
  EXPECT_GT(words.size(), 95U);
}

}  // namespace
