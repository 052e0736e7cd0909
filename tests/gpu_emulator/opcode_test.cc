// SPDX-License-Identifier: Apache-2.0
//
// Every opcode that computes, against a plain meaning: on the edges of each width and on random
// numbers, in all lanes, and guarded, where lanes that are off must keep what they had.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"

namespace colophon::gpu_emulator {
namespace {

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 UnsignedWide;
using Inputs = std::array<std::uint64_t, 4>;

// Types as the ISA writes them: "u32".
unsigned width_of(const std::string& type) {
  return type == "pred" ? 1 : static_cast<unsigned>(std::stoul(type.substr(1)));
}
std::uint64_t cut(std::uint64_t value, unsigned width) {
  return width == 64 ? value : value & ((std::uint64_t{1} << width) - 1);
}
// The number that the low bits mean in a type.
Wide number(std::uint64_t bits, const std::string& type) {
  const unsigned width = width_of(type);
  const std::uint64_t low = cut(bits, width);
  if (type[0] != 's' || (low >> (width - 1)) == 0) return static_cast<Wide>(low);
  return static_cast<Wide>(low) - (Wide{1} << width);
}
std::uint64_t bits_of(Wide value, unsigned width) {
  return cut(static_cast<std::uint64_t>(value), width);
}

// The product's bits from `shift` on, exact.
std::uint64_t product_bits(std::uint64_t a, std::uint64_t b, const std::string& type,
                           unsigned shift, unsigned width) {
  if (type[0] == 's') return bits_of((number(a, type) * number(b, type)) >> shift, width);
  const UnsignedWide product =
      static_cast<UnsignedWide>(number(a, type)) * static_cast<UnsignedWide>(number(b, type));
  return cut(static_cast<std::uint64_t>(product >> shift), width);
}

using Meaning = std::function<std::uint64_t(const Inputs&)>;

// Instructions of PTX over %a, %b, %c, %d (of the types in `sources`), with the result in %x (of
// `result`). Spare registers: %t of the type of %x, %u and %w of 32 bits, %v of 64, predicate %q.
struct Case {
  std::string text;
  std::string result;
  std::vector<std::string> sources;
  Meaning meaning;
};

std::set<Opcode> g_tested;

std::string register_type(const std::string& type) {
  return type == "pred" ? "pred" : "b" + std::to_string(std::max(16U, width_of(type)));
}

// Each thread has four numbers of 64 bits at %out and leaves two words of 64 bits there: %x as
// computed in all lanes, and %x begun with all ones and computed in the lanes with an odd fourth.
std::string text_of(const Case& test) {
  std::string body =
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x;\n"
      "mad.lo.u32 %r0, %r1, %r2, %r0; mul.wide.u32 %rd0, %r0, 48; add.u64 %rd0, %out, %rd0;\n"
      "ld.global.u64 %rd4, [%rd0+24]; and.b64 %rd4, %rd4, 1; setp.ne.u64 %p0, %rd4, 0;\n";
  const char* const names[] = {"%a", "%b", "%c", "%d"};
  for (std::size_t i = 0; i < test.sources.size(); ++i) {
    const std::string& type = test.sources[i];
    const std::string name = names[i];
    const std::string from = "ld.global.u64 %rd1, [%rd0+" + std::to_string(8 * i) + "]; ";
    body += ".reg ." + register_type(type) + " " + name + "; " + from;
    if (type == "pred") {
      body += "and.b64 %rd1, %rd1, 1; setp.ne.u64 " + name + ", %rd1, 0;\n";
    } else if (width_of(type) == 64) {
      body += "mov.b64 " + name + ", %rd1;\n";
    } else {
      const unsigned width = std::max(16U, width_of(type));
      body += "cvt.u" + std::to_string(width) + ".u64 " + name + ", %rd1;\n";
    }
  }
  const std::string x_type = register_type(test.result);
  body += ".reg ." + x_type + " %x, %t; .reg .b32 %u, %w; .reg .b64 %v; .reg .pred %q;\n";
  const std::string store = [&]() -> std::string {
    if (test.result == "pred") return "selp.u64 %rd2, 1, 0, %x;";
    if (width_of(test.result) == 64) return "mov.b64 %rd2, %x;";
    return "cvt.u64.u" + x_type.substr(1) + " %rd2, %x;";
  }();
  body += "bra.uni $case;\n$case:\n" + test.text + "\nbra.uni $after;\n$after:\n" + store +
          " st.global.u64 [%rd0+32], %rd2;\n";
  // The same guarded.
  body +=
      test.result == "pred" ? "setp.eq.u32 %x, 0, 0;\n" : "mov.b" + x_type.substr(1) + " %x, -1;\n";
  std::string guarded;
  for (std::size_t at = 0, end = 0; (end = test.text.find(';', at)) != std::string::npos;
       at = end + 1) {
    guarded += "@%p0 " + test.text.substr(at, end - at) + "; ";
  }
  body += guarded + "\n" + store + " st.global.u64 [%rd0+40], %rd2;\n";
  return kernel_text(body);
}

// 0, 1, the ends of signed and unsigned, single bits, and random numbers of every length.
std::vector<std::uint64_t> interesting(std::mt19937_64& random) {
  std::vector<std::uint64_t> values = {0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256};
  for (const unsigned width : {8U, 16U, 32U, 64U}) {
    const std::uint64_t all = cut(~std::uint64_t{0}, width);
    const std::uint64_t top = std::uint64_t{1} << (width - 1);
    for (const std::uint64_t v : {all, all - 1, top, top - 1, top + 1}) values.push_back(v);
  }
  values.push_back(0xffffffff00000000);
  values.push_back(0x0000000100000000);
  for (int i = 0; i < 24; ++i) values.push_back(random() >> (random() % 64));
  for (int i = 0; i < 8; ++i) values.push_back(std::uint64_t{1} << (random() % 64));
  return values;
}

void check(const Case& test) {
  SCOPED_TRACE(test.text);
  constexpr std::uint32_t kBlocks = 48;
  KernelRun run(text_of(test));
  run.shape.grid.x = kBlocks;
  std::mt19937_64 random(1);
  const std::vector<std::uint64_t> values = interesting(random);
  std::vector<Inputs> inputs(std::size_t{kBlocks} * 32);
  std::vector<std::uint64_t> memory;
  for (Inputs& input : inputs) {
    for (std::uint64_t& v : input) v = values[random() % values.size()];
    // Where sums and differences are just about to wrap.
    const std::uint64_t near[] = {input[0], ~input[0], ~input[0] + 1, input[0] + 1};
    if (random() % 2 == 0) input[1] = near[random() % 4];
    memory.insert(memory.end(), input.begin(), input.end());
    memory.insert(memory.end(), 2, 0);
  }
  run.allocate(memory.size() * 8);
  ASSERT_TRUE(run.memory.write(run.out, memory.data(), memory.size() * 8));
  const LaunchResult result = run.run();
  ASSERT_TRUE(result.ok()) << result.fault->message;
  ASSERT_TRUE(run.memory.read(memory.data(), run.out, memory.size() * 8));
  const unsigned width = width_of(test.result);
  // Narrow results are extended in their register by their sign.
  const unsigned kept = test.result == "pred" ? 1 : std::max(16U, width);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::uint64_t wanted =
        bits_of(number(test.meaning(inputs[i]), test.result == "pred" ? "u1" : test.result), kept);
    const bool on = (inputs[i][3] & 1) != 0;
    const std::uint64_t before = cut(~std::uint64_t{0}, kept);
    ASSERT_EQ(memory[6 * i + 4], wanted) << std::hex << inputs[i][0] << " " << inputs[i][1] << " "
                                         << inputs[i][2] << " " << inputs[i][3];
    ASSERT_EQ(memory[6 * i + 5], on ? wanted : before) << "guarded, " << (on ? "on" : "off");
  }
  const Module& module = run.executor().module();
  for (const BasicBlock& block : module.functions[0].blocks) {
    if (block.label != "$case") continue;
    for (std::uint32_t at = block.first; at + 1 < block.end; ++at) {
      g_tested.insert(module.functions[0].instructions[at].opcode);
    }
  }
}

const std::vector<std::string> kIntegers = {"u16", "s16", "u32", "s32", "u64", "s64"};
const std::vector<std::string> kIntegers32 = {"u32", "s32", "u64", "s64"};
const std::vector<std::string> kBits = {"b16", "b32", "b64"};

// d = f(a, b) exactly, then cut.
void check_exact(const std::string& name, const std::vector<std::string>& types,
                 const std::function<Wide(Wide, Wide)>& f) {
  for (const std::string& type : types) {
    check({name + "." + type + " %x, %a, %b;", type, {type, type}, [=](const Inputs& in) {
             return bits_of(f(number(in[0], type), number(in[1], type)), width_of(type));
           }});
  }
}

TEST(OpcodeTest, AdditionAndSubtraction) {
  check_exact("add", kIntegers, [](Wide a, Wide b) { return a + b; });
  check_exact("sub", kIntegers, [](Wide a, Wide b) { return a - b; });
  const auto clamped = [](Wide v) {
    return std::clamp<Wide>(v, -(Wide{1} << 31), (Wide{1} << 31) - 1);
  };
  check_exact("add.sat", {"s32"}, [=](Wide a, Wide b) { return clamped(a + b); });
  check_exact("sub.sat", {"s32"}, [=](Wide a, Wide b) { return clamped(a - b); });
}

TEST(OpcodeTest, MinimumMaximumAndDifferences) {
  check_exact("min", kIntegers, [](Wide a, Wide b) { return std::min(a, b); });
  check_exact("max", kIntegers, [](Wide a, Wide b) { return std::max(a, b); });
  for (const std::string& type : kIntegers) {
    check({"sad." + type + " %x, %a, %b, %c;", type, {type, type, type}, [=](const Inputs& in) {
             const Wide a = number(in[0], type);
             const Wide b = number(in[1], type);
             return bits_of(number(in[2], type) + (a < b ? b - a : a - b), width_of(type));
           }});
  }
  for (const std::string type : {"s16", "s32", "s64"}) {
    check({"abs." + type + " %x, %a;", type, {type}, [=](const Inputs& in) {
             const Wide a = number(in[0], type);
             return bits_of(a < 0 ? -a : a, width_of(type));
           }});
    check({"neg." + type + " %x, %a;", type, {type}, [=](const Inputs& in) {
             return bits_of(-number(in[0], type), width_of(type));
           }});
  }
}

TEST(OpcodeTest, Products) {
  for (const std::string& type : kIntegers) {
    const unsigned width = width_of(type);
    for (const bool high : {false, true}) {
      const std::string half = high ? "hi." : "lo.";
      const unsigned shift = high ? width : 0;
      check({"mul." + half + type + " %x, %a, %b;", type, {type, type}, [=](const Inputs& in) {
               return product_bits(in[0], in[1], type, shift, width);
             }});
      check({"mad." + half + type + " %x, %a, %b, %c;",
             type,
             {type, type, type},
             [=](const Inputs& in) {
               return cut(product_bits(in[0], in[1], type, shift, width) + in[2], width);
             }});
    }
    if (width == 64) continue;
    const std::string twice = type[0] + std::to_string(2 * width);
    check({"mul.wide." + type + " %x, %a, %b;", twice, {type, type}, [=](const Inputs& in) {
             return product_bits(in[0], in[1], type, 0, 2 * width);
           }});
    check({"mad.wide." + type + " %x, %a, %b, %c;",
           twice,
           {type, type, twice},
           [=](const Inputs& in) {
             return cut(product_bits(in[0], in[1], type, 0, 2 * width) + in[2], 2 * width);
           }});
  }
}

TEST(OpcodeTest, Division) {
  for (const std::string& type : kIntegers) {
    // No divisor of 0.
    const std::string safe = "max." + type + " %t, %b, 1; ";
    for (const bool remainder : {false, true}) {
      check({(type[0] == 'u' ? safe : "or.b" + type.substr(1) + " %t, %b, 1; ") +
                 (remainder ? "rem." : "div.") + type + " %x, %a, %t;",
             type,
             {type, type},
             [=](const Inputs& in) {
               const Wide a = number(in[0], type);
               const Wide b = type[0] == 'u' ? std::max<Wide>(number(in[1], type), 1)
                                             : number(in[1] | 1, type);
               return bits_of(remainder ? a % b : a / b, width_of(type));
             }});
    }
  }
}

// CC.CF is set before, and read after.
TEST(OpcodeTest, Carries) {
  const auto both = [](const std::string& text, const std::string& type,
                       const std::function<UnsignedWide(const Inputs&, std::uint64_t)>& exact,
                       bool reads, bool writes) {
    const unsigned width = width_of(type);
    // The flag comes from bit 1 of %b.
    const std::string set = "cvt.u64.u" + std::to_string(width) +
                            " %v, %b; cvt.u32.u64 %w, %v; bfe.u32 %w, %w, 1, 1; "
                            "add.cc.u32 %w, %w, 0xffffffff; ";
    const auto flag_of = [](const Inputs& in) { return in[1] >> 1 & 1; };
    check({set + text, type, {type, type, type}, [=](const Inputs& in) {
             return cut(static_cast<std::uint64_t>(exact(in, reads ? flag_of(in) : 0)), width);
           }});
    check({set + text + " addc.u32 %u, 0, 0; cvt.u" + std::to_string(width) + ".u32 %x, %u;",
           type,
           {type, type, type},
           [=](const Inputs& in) {
             if (!writes) return flag_of(in);
             const UnsignedWide value = exact(in, reads ? flag_of(in) : 0);
             return static_cast<std::uint64_t>(value >> width) & 1;
           }});
  };
  for (const std::string& type : kIntegers32) {
    const unsigned width = width_of(type);
    const auto low = [=](std::uint64_t v) { return static_cast<UnsignedWide>(cut(v, width)); };
    for (const bool reads : {false, true}) {
      for (const bool writes : {false, true}) {
        if (!reads && !writes) continue;
        const std::string c = reads ? "c" : "";
        const std::string cc = writes ? ".cc." : ".";
        both(
            "add" + c + cc + type + " %x, %a, %b;", type,
            [=](const Inputs& in, std::uint64_t carry) { return low(in[0]) + low(in[1]) + carry; },
            reads, writes);
        // The flag is the borrow: bit `width` of the exact difference mod 2^(width + 1).
        both(
            "sub" + c + cc + type + " %x, %a, %b;", type,
            [=](const Inputs& in, std::uint64_t carry) { return low(in[0]) - low(in[1]) - carry; },
            reads, writes);
        for (const bool high : {false, true}) {
          both(
              "mad" + c + (high ? ".hi" : ".lo") + cc + type + " %x, %a, %b, %c;", type,
              [=](const Inputs& in, std::uint64_t carry) {
                return low(product_bits(in[0], in[1], type, high ? width : 0, width)) + low(in[2]) +
                       carry;
              },
              reads, writes);
        }
      }
    }
  }
}

TEST(OpcodeTest, CarriesOfLanesThatAreOffStay) {
  KernelRun run(kernel_text(
      "mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 1; setp.ne.u32 %p0, %r1, 0; mul.wide.u32 %rd0, %r0, "
      "4; add.u64 %rd0, %out, %rd0;\n"
      "add.cc.u32 %r2, %r0, 0xfffffff0;\n@%p0 add.cc.u32 %r3, 0, 0;\naddc.u32 %r4, 0, 0; "
      "st.global.u32 [%rd0], %r4;"));
  const LaunchResult result = run.run(std::vector<std::uint32_t>(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(run.words()[i], i >= 16 && i % 2 == 0 ? 1U : 0U);
}

TEST(OpcodeTest, Logic) {
  std::vector<std::string> types = kBits;
  types.push_back("pred");
  for (const std::string& type : types) {
    const unsigned width = width_of(type);
    const auto two = [&](const std::string& name, auto f) {
      check({name + "." + type + " %x, %a, %b;", type, {type, type}, [=](const Inputs& in) {
               return cut(f(in[0], in[1]), width);
             }});
    };
    two("and", [](std::uint64_t a, std::uint64_t b) { return a & b; });
    two("or", [](std::uint64_t a, std::uint64_t b) { return a | b; });
    two("xor", [](std::uint64_t a, std::uint64_t b) { return a ^ b; });
    check({"not." + type + " %x, %a;", type, {type}, [=](const Inputs& in) {
             return cut(~in[0], width);
           }});
    if (type == "pred") continue;
    check({"cnot." + type + " %x, %a;", type, {type}, [=](const Inputs& in) {
             return std::uint64_t{cut(in[0], width) == 0};
           }});
  }
  for (unsigned table = 0; table < 256; table += 1) {
    check({"lop3.b32 %x, %a, %b, %c, " + std::to_string(table) + ";",
           "b32",
           {"b32", "b32", "b32"},
           [=](const Inputs& in) {
             std::uint64_t out = 0;
             for (unsigned i = 0; i < 32; ++i) {
               const unsigned row = static_cast<unsigned>((in[0] >> i & 1) << 2 |
                                                          (in[1] >> i & 1) << 1 | (in[2] >> i & 1));
               out |= std::uint64_t{table >> row & 1} << i;
             }
             return out;
           }});
  }
}

TEST(OpcodeTest, Shifts) {
  for (const std::string& bits : kBits) {
    const unsigned width = width_of(bits);
    check({"shl." + bits + " %x, %a, %b;", bits, {bits, "u32"}, [=](const Inputs& in) {
             const std::uint64_t by = cut(in[1], 32);
             return by >= width ? 0 : cut(in[0] << by, width);
           }});
    for (const std::string kind : {"b", "u", "s"}) {
      const std::string type = kind + bits.substr(1);
      check({"shr." + type + " %x, %a, %b;", bits, {bits, "u32"}, [=](const Inputs& in) {
               const auto by = static_cast<unsigned>(std::min<std::uint64_t>(cut(in[1], 32), 127));
               return bits_of(number(in[0], type) >> by, width);
             }});
    }
  }
  for (const bool left : {false, true}) {
    for (const bool clamp : {false, true}) {
      check({std::string("shf.") + (left ? "l" : "r") + (clamp ? ".clamp" : ".wrap") +
                 ".b32 %x, %a, %b, %c;",
             "b32",
             {"b32", "b32", "u32"},
             [=](const Inputs& in) {
               const std::uint64_t c = cut(in[2], 32);
               const std::uint64_t n = clamp ? std::min<std::uint64_t>(c, 32) : c & 31;
               const UnsignedWide both = static_cast<UnsignedWide>(cut(in[1], 32)) << 32 |
                                         static_cast<UnsignedWide>(cut(in[0], 32));
               return cut(static_cast<std::uint64_t>(left ? (both << n) >> 32 : both >> n), 32);
             }});
    }
  }
}

TEST(OpcodeTest, CountingAndFieldsOfBits) {
  for (const std::string type : {"b32", "b64"}) {
    const unsigned width = width_of(type);
    check({"popc." + type + " %x, %a;", "u32", {type}, [=](const Inputs& in) {
             std::uint64_t n = 0;
             for (unsigned i = 0; i < width; ++i) n += in[0] >> i & 1;
             return n;
           }});
    check({"clz." + type + " %x, %a;", "u32", {type}, [=](const Inputs& in) {
             std::uint64_t n = 0;
             while (n < width && (in[0] >> (width - 1 - n) & 1) == 0) ++n;
             return n;
           }});
    check({"brev." + type + " %x, %a;", type, {type}, [=](const Inputs& in) {
             std::uint64_t out = 0;
             for (unsigned i = 0; i < width; ++i) out |= (in[0] >> i & 1) << (width - 1 - i);
             return out;
           }});
    check({"bfi." + type + " %x, %a, %b, %c, %d;",
           type,
           {type, type, "u32", "u32"},
           [=](const Inputs& in) {
             std::uint64_t out = in[1];
             for (std::uint64_t i = 0; i < (in[3] & 0xff); ++i) {
               const std::uint64_t at = (in[2] & 0xff) + i;
               if (at >= width || i >= width) continue;
               out = (out & ~(std::uint64_t{1} << at)) | (in[0] >> i & 1) << at;
             }
             return cut(out, width);
           }});
  }
  for (const std::string& type : kIntegers32) {
    const unsigned width = width_of(type);
    const auto highest = [=](std::uint64_t a) {
      const std::uint64_t v = cut(number(a, type) < 0 ? ~a : a, width);
      int at = static_cast<int>(width) - 1;
      while (at >= 0 && (v >> at & 1) == 0) --at;
      return at;
    };
    check({"bfind." + type + " %x, %a;", "u32", {type}, [=](const Inputs& in) {
             return cut(static_cast<std::uint64_t>(std::int64_t{highest(in[0])}), 32);
           }});
    check({"bfind.shiftamt." + type + " %x, %a;", "u32", {type}, [=](const Inputs& in) {
             const int at = highest(in[0]);
             return at < 0 ? std::uint64_t{0xffffffff} : width - 1 - static_cast<unsigned>(at);
           }});
    check({"bfe." + type + " %x, %a, %b, %c;", type, {type, "u32", "u32"}, [=](const Inputs& in) {
             const std::uint64_t position = in[1] & 0xff;
             const std::uint64_t length = in[2] & 0xff;
             std::uint64_t sign = 0;
             if (type[0] == 's' && length != 0) {
               sign = in[0] >> std::min<std::uint64_t>(position + length - 1, width - 1) & 1;
             }
             std::uint64_t out = 0;
             for (std::uint64_t i = 0; i < width; ++i) {
               const bool inside = i < length && position + i < width;
               out |= (inside ? in[0] >> (position + i) & 1 : sign) << i;
             }
             return out;
           }});
  }
}

TEST(OpcodeTest, Permutations) {
  const auto byte = [](const Inputs& in, unsigned i) {
    return (i < 4 ? in[0] >> (8 * i) : in[1] >> (8 * (i - 4))) & 0xff;
  };
  const auto of_bytes = [=](const Inputs& in, const std::array<unsigned, 4>& from_the_top) {
    std::uint64_t out = 0;
    for (const unsigned i : from_the_top) out = out << 8 | byte(in, i);
    return out;
  };
  check({"prmt.b32 %x, %a, %b, %c;", "b32", {"b32", "b32", "u32"}, [=](const Inputs& in) {
           std::uint64_t out = 0;
           for (unsigned i = 0; i < 4; ++i) {
             const auto selector = static_cast<unsigned>(in[2] >> (4 * i) & 15);
             std::uint64_t value = byte(in, selector & 7);
             if ((selector & 8) != 0) value = (value & 0x80) != 0 ? 0xff : 0;
             out |= value << (8 * i);
           }
           return out;
         }});
  // The ISA's table, the highest byte first.
  using Row = std::array<unsigned, 4>;
  const std::vector<std::pair<std::string, std::array<Row, 4>>> modes = {
      {"f4e", {{{3, 2, 1, 0}, {4, 3, 2, 1}, {5, 4, 3, 2}, {6, 5, 4, 3}}}},
      {"b4e", {{{5, 6, 7, 0}, {6, 7, 0, 1}, {7, 0, 1, 2}, {0, 1, 2, 3}}}},
      {"rc8", {{{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}}},
      {"ecl", {{{3, 2, 1, 0}, {3, 2, 1, 1}, {3, 2, 2, 2}, {3, 3, 3, 3}}}},
      {"ecr", {{{0, 0, 0, 0}, {1, 1, 1, 0}, {2, 2, 1, 0}, {3, 2, 1, 0}}}},
      {"rc16", {{{1, 0, 1, 0}, {3, 2, 3, 2}, {1, 0, 1, 0}, {3, 2, 3, 2}}}}};
  for (const auto& [mode, rows] : modes) {
    const auto table = rows;
    check({"prmt.b32." + mode + " %x, %a, %b, %c;",
           "b32",
           {"b32", "b32", "u32"},
           [=](const Inputs& in) { return of_bytes(in, table[in[2] & 3]); }});
  }
}

TEST(OpcodeTest, Comparisons) {
  struct Relation {
    const char* name;
    const char* of_unsigned;
    bool (*holds)(Wide, Wide);
  };
  const Relation relations[] = {{"eq", nullptr, [](Wide a, Wide b) { return a == b; }},
                                {"ne", nullptr, [](Wide a, Wide b) { return a != b; }},
                                {"lt", "lo", [](Wide a, Wide b) { return a < b; }},
                                {"le", "ls", [](Wide a, Wide b) { return a <= b; }},
                                {"gt", "hi", [](Wide a, Wide b) { return a > b; }},
                                {"ge", "hs", [](Wide a, Wide b) { return a >= b; }}};
  for (const Relation& relation : relations) {
    std::vector<std::string> types = kIntegers;
    if (relation.of_unsigned == nullptr) types.insert(types.end(), kBits.begin(), kBits.end());
    for (const std::string& type : types) {
      const auto holds = [=, f = relation.holds](const Inputs& in) {
        return std::uint64_t{f(number(in[0], type), number(in[1], type))};
      };
      const std::string name = relation.name;
      check({"setp." + name + "." + type + " %x, %a, %b;", "pred", {type, type}, holds});
      check({"setp." + name + "." + type + " %q|%x, %a, %b;",
             "pred",
             {type, type},
             [=](const Inputs& in) { return 1 - holds(in); }});
      if (relation.of_unsigned != nullptr && type[0] == 'u') {
        check({"setp." + std::string(relation.of_unsigned) + "." + type + " %x, %a, %b;",
               "pred",
               {type, type},
               holds});
      }
      check({"set." + name + ".u32." + type + " %x, %a, %b;",
             "u32",
             {type, type},
             [=](const Inputs& in) { return holds(in) != 0 ? std::uint64_t{0xffffffff} : 0; }});
    }
  }
  for (const bool negated : {false, true}) {
    const std::string c = negated ? "!%c" : "%c";
    const auto with = [=](const Inputs& in) { return (in[2] & 1) != 0 ? !negated : negated; };
    const auto less = [](const Inputs& in) { return number(in[0], "s32") < number(in[1], "s32"); };
    const std::vector<std::string> sources = {"s32", "s32", "pred"};
    check({"setp.lt.and.s32 %x, %a, %b, " + c + ";", "pred", sources,
           [=](const Inputs& in) { return std::uint64_t{less(in) && with(in)}; }});
    check({"setp.lt.and.s32 %q|%x, %a, %b, " + c + ";", "pred", sources,
           [=](const Inputs& in) { return std::uint64_t{!less(in) && with(in)}; }});
    check({"setp.lt.or.s32 %q|%x, %a, %b, " + c + ";", "pred", sources,
           [=](const Inputs& in) { return std::uint64_t{!less(in) || with(in)}; }});
    check({"setp.lt.xor.s32 %x|%q, %a, %b, " + c + ";", "pred", sources,
           [=](const Inputs& in) { return std::uint64_t{less(in) != with(in)}; }});
    check({"set.lt.xor.s32.s32 %x, %a, %b, " + c + ";", "b32", sources,
           [=](const Inputs& in) { return less(in) != with(in) ? std::uint64_t{0xffffffff} : 0; }});
  }
}

TEST(OpcodeTest, Choice) {
  for (const std::string type : {"b16", "u16", "b32", "s32", "b64", "u64", "f32", "f64"}) {
    const std::string wide = "b" + type.substr(1);
    check({"selp." + type + " %x, %a, %b, %c;", wide, {wide, wide, "pred"}, [=](const Inputs& in) {
             return cut(in[2] & 1 ? in[0] : in[1], width_of(type));
           }});
  }
  for (const std::string type : {"b16", "u32", "s64"}) {
    const std::string wide = "b" + type.substr(1);
    check(
        {"slct." + type + ".s32 %x, %a, %b, %c;", wide, {wide, wide, "s32"}, [=](const Inputs& in) {
           return cut(number(in[2], "s32") >= 0 ? in[0] : in[1], width_of(type));
         }});
  }
}

TEST(OpcodeTest, MovesAndVectors) {
  for (const std::string type : {"b16", "u32", "s64", "pred", "f32", "f64"}) {
    const std::string wide = type == "pred" ? type : "b" + type.substr(1);
    check({"mov." + type + " %x, %a;", wide, {wide}, [=](const Inputs& in) {
             return cut(in[0], width_of(type));
           }});
  }
  check({"mov.u32 %x, WARP_SZ;", "u32", {}, [](const Inputs&) { return 32; }});
  check({"mov.f32 %x, 0f3F800000;", "b32", {}, [](const Inputs&) { return 0x3f800000; }});
  check({"mov.b64 %x, 0x123456789abcdefU;", "b64", {}, [](const Inputs&) {
           return 0x123456789abcdef;
         }});
  check({"mov.pred %x, 0;", "pred", {}, [](const Inputs&) { return 0; }});
  check({"mov.pred %x, -1;", "pred", {}, [](const Inputs&) { return 1; }});
  check({"mov.b16 %x, -2;", "b16", {}, [](const Inputs&) { return 0xfffe; }});
  check({"add.u32 %x, %a, 017;", "u32", {"u32"}, [](const Inputs& in) {
           return cut(in[0] + 15, 32);
         }});
  check({"mov.b32 %x, {%a, %b};", "b32", {"b16", "b16"}, [](const Inputs& in) {
           return cut(in[1], 16) << 16 | cut(in[0], 16);
         }});
  check({"mov.b64 %x, {%a, %b};", "b64", {"b32", "b32"}, [](const Inputs& in) {
           return in[1] << 32 | cut(in[0], 32);
         }});
  check({"mov.b64 %x, {%a, %b, %c, 7};", "b64", {"b16", "b16", "b16"}, [](const Inputs& in) {
           return std::uint64_t{7} << 48 | cut(in[2], 16) << 32 | cut(in[1], 16) << 16 |
                  cut(in[0], 16);
         }});
  check({"mov.b64 {%x, %u}, %a;", "b32", {"b64"}, [](const Inputs& in) { return cut(in[0], 32); }});
  check({"mov.b64 {_, %x}, %a;", "b32", {"b64"}, [](const Inputs& in) { return in[0] >> 32; }});
  check({"mov.b32 {%t, %x}, %a;", "b16", {"b32"}, [](const Inputs& in) {
           return cut(in[0] >> 16, 16);
         }});
  for (unsigned i = 0; i < 4; ++i) {
    std::string names[4] = {"_", "_", "_", "_"};
    names[i] = "%x";
    check({"mov.b64 {" + names[0] + ", " + names[1] + ", " + names[2] + ", " + names[3] + "}, %a;",
           "b16",
           {"b64"},
           [=](const Inputs& in) { return cut(in[0] >> (16 * i), 16); }});
  }
}

TEST(OpcodeTest, Conversions) {
  const std::vector<std::string> types = {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"};
  for (const std::string& to : types) {
    for (const std::string& from : types) {
      // Sources come in registers of their width and, being narrower, in wider ones.
      for (const std::string wide : {"b16", "b32", "b64"}) {
        if (width_of(wide) < width_of(from)) continue;
        check({"cvt." + to + "." + from + " %x, %a;", to, {wide}, [=](const Inputs& in) {
                 return bits_of(number(in[0], from), width_of(to));
               }});
      }
      const Wide most =
          to[0] == 's' ? (Wide{1} << (width_of(to) - 1)) - 1 : (Wide{1} << width_of(to)) - 1;
      const Wide least = to[0] == 's' ? -most - 1 : 0;
      check({"cvt.sat." + to + "." + from + " %x, %a;", to, {from}, [=](const Inputs& in) {
               return bits_of(std::clamp(number(in[0], from), least, most), width_of(to));
             }});
    }
  }
  // The destination's register may be wider than its type.
  check({"cvt.s16.s8 %t, %a; cvt.u64.u16 %x, %a;", "b64", {"b16"}, [](const Inputs& in) {
           return cut(in[0], 16);
         }});
  check({"cvt.s8.s32 %x, %a;", "s32", {"b32"}, [](const Inputs& in) {
           return bits_of(number(in[0], "s8"), 32);
         }});
  check({"cvt.u8.u32 %x, %a;", "u64", {"b32"}, [](const Inputs& in) { return cut(in[0], 8); }});
}

TEST(OpcodeTest, Addresses) {
  check({"cvta.shared.u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) {
           return in[0] + kSharedWindow;
         }});
  check({"cvta.to.shared.u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) {
           return in[0] - kSharedWindow;
         }});
  check({"cvta.local.u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) {
           return in[0] + kLocalWindow;
         }});
  check({"cvta.to.local.u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) {
           return in[0] - kLocalWindow;
         }});
  for (const std::string space : {"global", "const", "param"}) {
    check(
        {"cvta." + space + ".u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) { return in[0]; }});
    check({"cvta.to." + space + ".u64 %x, %a;", "b64", {"b64"}, [](const Inputs& in) {
             return in[0];
           }});
  }
  // %a's low bit: the space asked for, or another.
  const auto in_space = [](const std::string& space, DevicePointer inside, DevicePointer outside) {
    check({"selp.b64 %t, " + std::to_string(inside) + ", " + std::to_string(outside) +
               ", %a; isspacep." + space + " %q, %t; selp.b64 %x, 1, 0, %q;",
           "b64",
           {"pred"},
           [](const Inputs& in) { return in[0] & 1; }});
  };
  in_space("shared", kSharedWindow + 1024, kLocalWindow);
  in_space("local", kLocalWindow + 5, kSharedWindow);
  in_space("param", kParamWindow, kGlobalWindow);
  in_space("global", kGlobalWindow + 17, kSharedWindow + 1);
}

TEST(OpcodeTest, SpecialRegisters) {
  KernelRun run(kernel_text(
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z; mov.u32 %r3, %ntid.x;\n"
      "mov.u32 %r4, %ntid.y; mov.u32 %r5, %ntid.z; mov.u32 %r6, %ctaid.x; mov.u32 %r7, %ctaid.y;\n"
      "mov.u32 %r8, %ctaid.z; mov.u32 %r9, %nctaid.x; mov.u32 %r10, %nctaid.y;\n"
      "mov.u32 %r11, %nctaid.z; mov.u32 %r12, %laneid; mov.u32 %r13, %warpid;\n"
      "mov.u32 %r14, %nwarpid; mov.u32 %r15, %lanemask_eq; mov.u32 %r16, %lanemask_le;\n"
      "mov.u32 %r17, %lanemask_lt; mov.u32 %r18, %lanemask_ge; mov.u32 %r19, %lanemask_gt;\n"
      "mov.u32 %r20, %dynamic_smem_size;\n"
      "mad.lo.u32 %r21, %r8, %r10, %r7; mad.lo.u32 %r21, %r21, %r9, %r6;\n"
      "mad.lo.u32 %r21, %r21, %r5, %r2; mad.lo.u32 %r21, %r21, %r4, %r1;\n"
      "mad.lo.u32 %r21, %r21, %r3, %r0; mul.wide.u32 %rd0, %r21, 96; add.u64 %rd0, %out, %rd0;\n"
      "st.global.v4.u32 [%rd0], {%r0, %r1, %r2, %r3}; st.global.v4.u32 [%rd0+16], {%r4, %r5, "
      "%r6, %r7};\n"
      "st.global.v4.u32 [%rd0+32], {%r8, %r9, %r10, %r11}; st.global.v4.u32 [%rd0+48], {%r12, "
      "%r13, %r14, %r15};\n"
      "st.global.v4.u32 [%rd0+64], {%r16, %r17, %r18, %r19}; st.global.u32 [%rd0+80], %r20;"));
  run.shape.grid = {2, 3, 2};
  run.shape.block = {5, 3, 3};
  run.shape.dynamic_shared_bytes = 100;
  run.allocate(std::size_t{12} * 45 * 96);
  const LaunchResult result = run.run();
  ASSERT_TRUE(result.ok()) << result.fault->message;
  const std::vector<std::uint32_t> words = run.words();
  std::size_t at = 0;
  for (std::uint32_t block = 0; block < 12; ++block) {
    for (std::uint32_t thread = 0; thread < 45; ++thread, at += 24) {
      const std::uint32_t lane = thread % 32;
      const std::uint32_t bit = 1U << lane;
      const std::uint32_t below = bit - 1;
      const std::vector<std::uint32_t> wanted = {
          thread % 5, thread / 5 % 3, thread / 15, 5,   3,           3,
          block % 2,  block / 2 % 3,  block / 6,   2,   3,           2,
          lane,       thread / 32,    2,           bit, below | bit, below,
          ~below,     ~(below | bit), 100};
      ASSERT_EQ(std::vector<std::uint32_t>(words.begin() + static_cast<std::ptrdiff_t>(at),
                                           words.begin() + static_cast<std::ptrdiff_t>(at) + 21),
                wanted)
          << "block " << block << ", thread " << thread;
    }
  }
}

// The clock goes on by what ran in between.
TEST(OpcodeTest, ClockCountsInstructions) {
  KernelRun run(
      kernel_text("mov.u64 %rd0, %clock64; mov.u32 %r0, 0;\n"
                  "again: add.u32 %r0, %r0, 1; setp.lt.u32 %p0, %r0, 10; @%p0 bra again;\n"
                  "mov.u64 %rd1, %clock64; sub.u64 %rd1, %rd1, %rd0; cvt.u32.u64 %r1, %rd1;\n"
                  "st.global.u32 [%out], %r1;"));
  run.shape.block.x = 1;
  run.allocate(4);
  const LaunchResult result = run.run();
  ASSERT_TRUE(result.ok()) << result.fault->message;
  EXPECT_GE(run.words()[0], 30U);
  EXPECT_LE(run.words()[0], 36U);
}

// Runs last (GoogleTest keeps the order of a file): nothing that computes was forgotten.
TEST(OpcodeTest, NoneIsUntested) {
  for (int i = 0; i < static_cast<int>(Opcode::kLd); ++i) {
    const auto opcode = static_cast<Opcode>(i);
    if (opcode == Opcode::kMovSpecial) continue;
    EXPECT_EQ(g_tested.count(opcode), 1U) << opcode_name(opcode);
  }
}

}  // namespace
}  // namespace colophon::gpu_emulator
