// SPDX-License-Identifier: Apache-2.0
//
// GoogleTest's exit status does not tell "skipped" from "passed"; CTest would say that vectors
// passed which were not there.
#include <gtest/gtest.h>

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt
  testing::InitGoogleTest(&argc, argv);
  const int status = RUN_ALL_TESTS();
  const bool skipped = testing::UnitTest::GetInstance()->skipped_test_count() != 0;
  return status == 0 && skipped ? kSkipped : status;
}
