// SPDX-License-Identifier: Apache-2.0
//
// ECDSA verification of many signatures (FIPS 186-5 §6.4.2), written over the Field concept: u1 =
// e/s, u2 = r/s, and x(u1·G + u2·Q) = r mod n. Vectors of F::kLanes signatures; the last one is
// filled up by repeating its last signature.
//
// Scalars are chosen by whoever signs, so additions may meet P = ±Q or the infinity. The fast
// formulas leave a zero behind then; it is looked for once a vector or a pass, and those signatures
// are decided by the complete formula, at a bounded cost (verify_complete).
#pragma once

#include "kernels/comb.h"
#include "kernels/curve.h"
#include "kernels/ecdsa.h"

namespace colophon::kernels {
namespace {

// What turns k/2 into the recoded k' (comb.h): (2^(w L) - 1)/2 mod n, for each w.
struct RecodingOffsets {
  Words of_bits[kWindowBitsMax + 1];
};
template <class N>
constexpr RecodingOffsets recoding_offsets() {
  RecodingOffsets offsets{};
  for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
    const Words power = power_of_two_mod(bits * window_count(bits), N::kModulus);
    offsets.of_bits[bits] = half_mod(minus(power, Words{{1, 0, 0, 0}}), N::kModulus);
  }
  return offsets;
}

// The verification text for a curve C over one kind of field.
template <class C, template <class> class Field>
struct Verifier {
  using F = Field<typename C::Prime>;
  using N = Field<typename C::Order>;
  using Word = typename F::Word;
  using Mask = typename F::Mask;
  using Rows = typename F::Rows;
  template <unsigned M>
  using Element = typename F::template Element<M>;
  template <unsigned A, unsigned B>
  using Sum = typename F::template Sum<A, B>;
  using OrderElement = typename N::template Element<2>;

  static constexpr size_t kLanes = F::kLanes;
  // From here on one inversion a pass costs less than the additions of the affine way save.
  static constexpr size_t kAffineVectorsMin = 24;
  // Table rows are asked for this many vectors before they are used.
  static constexpr size_t kPrefetchVectors = 2;
  static constexpr unsigned kPrefetchSteps = 5;
  static constexpr unsigned kUnknownBits = 5;
  // Sums side by side where there are too few vectors to go round.
  static constexpr unsigned kChains = kLanes == 1 ? 1 : 2;

  // What is left of a vector of signatures once the arithmetic mod n is done: numbers, not in
  // Montgomery form.
  struct Scalars {
    Word u1[4];  // recoded for the generator's table
    Word u2[4];  // recoded for the key's
    Word r[4];
  };

  static size_t vector_count(size_t count) { return (count + kLanes - 1) / kLanes; }

  // Calls read(item) for the lanes of vector v.
  template <class Read>
  COLOPHON_HOST_DEVICE static void each_lane(const EcdsaItem* items, size_t count, size_t v,
                                             Read read) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const size_t i = v * kLanes + lane;
      read(lane, items[i < count ? i : count - 1]);
    }
  }

  // --- arithmetic mod n --------------------------------------------------------------------------

  COLOPHON_HOST_DEVICE static OrderElement constant(const Words& value) {
    Word word[4];
    for (int i = 0; i < 4; ++i) word[i] = N::splat(value.word[i]);
    return N::from_words(word);
  }

  // k' from k/2 (comb.h).
  static void recode(const OrderElement& half, const Words& offset, Word out[4]) {
    N::to_words(N::canonical(N::carry(half + constant(offset))), out);
  }

  // Divides by all s at once. `before` is scratch, one a vector.
  static void make_scalars(const EcdsaItem* items, size_t count, unsigned generator_bits,
                           unsigned key_bits, Scalars* scalars, OrderElement* before) {
    const size_t vectors = vector_count(count);
    const auto s_of = [&](size_t v) {
      const uint8_t* number[kLanes];
      each_lane(items, count, v,
                [&](size_t lane, const EcdsaItem& item) { number[lane] = item.signature + 32; });
      Word word[4];
      N::load_big_endian(number, word);
      return N::from_words(word);
    };
    OrderElement running = N::one();
    for (size_t v = 0; v < vectors; ++v) {
      before[v] = running;
      running = N::mul(running, s_of(v));
    }
    // s is no Montgomery form, and the recoding wants halves: both are mended by this one factor.
    constexpr Words kHalf = half_mod(Words{{1, 0, 0, 0}}, C::Order::kModulus);
    OrderElement inverse = N::mul(N::inverse_vartime(running), constant(kHalf));
    static constexpr RecodingOffsets kOffsets = recoding_offsets<typename C::Order>();
    const Words& generator_offset = kOffsets.of_bits[generator_bits];
    const Words& key_offset = kOffsets.of_bits[key_bits];
    for (size_t v = vectors; v-- > 0;) {
      const OrderElement half_over_s = N::mul(inverse, before[v]);
      inverse = N::mul(inverse, s_of(v));
      const uint8_t* number[kLanes];
      Word word[4];
      each_lane(items, count, v,
                [&](size_t lane, const EcdsaItem& item) { number[lane] = item.digest; });
      N::load_big_endian(number, word);
      recode(N::mul(N::from_words(word), half_over_s), generator_offset, scalars[v].u1);
      each_lane(items, count, v,
                [&](size_t lane, const EcdsaItem& item) { number[lane] = item.signature; });
      N::load_big_endian(number, scalars[v].r);
      recode(N::mul(N::from_words(scalars[v].r), half_over_s), key_offset, scalars[v].u2);
    }
  }

  // --- table look-ups ----------------------------------------------------------------------------

  // The windows of one scalar after the other: the generator's, then the key's.
  struct Walk {
    const Scalars* scalars;
    const Word* tables;  // the key's, one a vector
    const void* generator;
    unsigned generator_bits, key_bits, generator_windows, windows;

    void find(unsigned window, size_t v, Rows& out) const {
      const bool is_key = window >= generator_windows;
      const unsigned bits = is_key ? key_bits : generator_bits;
      const unsigned i = is_key ? window - generator_windows : window;
      const Word offset = F::splat(uint64_t{kRowBytes} * row_count(bits) * i);
      const Word base = is_key ? tables[v] : F::splat(reinterpret_cast<uint64_t>(generator));
      const Word* scalar = is_key ? scalars[v].u2 : scalars[v].u1;
      F::find_rows(F::bits(scalar, bits * i, bits), bits, F::add_words(base, offset), out);
    }
  };

  static void load(const Rows& rows, Affine<F>& point) { F::load_rows(rows, point.x, point.y); }

  // --- x(R) = r mod n ----------------------------------------------------------------------------

  // Lanes in which X/D is r or r + n. r + n is below p for one r in 2^128.
  COLOPHON_HOST_DEVICE static Mask matches(const Word r[4], const Element<2>& x,
                                           const Element<2>& d) {
    const auto residue = F::mul(F::from_words(r), F::square_of_r());
    Mask valid = F::is_zero(F::mul(residue, d) - x);
    const Mask small = F::less_than(r, minus(C::Prime::kModulus, C::Order::kModulus));
    if (small != 0) {
      constexpr Words order = C::Order::kModulus;
      const auto n = montgomery(order);
      const Mask second = F::is_zero(F::mul(F::carry_reduced(residue + n), d) - x);
      valid = static_cast<Mask>(valid | (small & second));
    }
    return valid;
  }

  COLOPHON_HOST_DEVICE static void write_verdicts(size_t v, size_t count, Mask valid,
                                                  uint8_t* out) {
    for (size_t lane = 0; lane < kLanes && v * kLanes + lane < count; ++lane) {
      out[v * kLanes + lane] = static_cast<uint8_t>(valid >> lane & 1);
    }
  }

  // --- every vector for itself: XYZZ -------------------------------------------------------------

  static void verify_xyzz(const Walk& walk, size_t count, Rows* rows, Mask* exceptional,
                          uint8_t* valid) {
    // Window k of chain c is c·length + k; what is left over goes to the first chain's end.
    const unsigned length = walk.windows / kChains;
    for (size_t v = 0; v < vector_count(count); ++v) {
      for (unsigned k = 0; k < walk.windows; ++k) walk.find(k, v, rows[k]);
      // A step's rows are asked for some steps before: all at once, the first addition would wait
      // for the last row. (Not inlined, GCC 12 takes it for a function without effects and drops
      // it.)
      const auto ask_for = [&](unsigned k) __attribute__((always_inline)) {
        for (unsigned c = 0; c < kChains && k < length; ++c) F::prefetch(rows[c * length + k]);
      };
      for (unsigned k = 0; k < kPrefetchSteps; ++k) ask_for(k);
      Affine<F> point[kChains];
      Xyzz<F> sums[kChains];
      Mask negative[kChains];
      for (unsigned c = 0; c < kChains; ++c) {
        Affine<F> second;
        load(rows[c * length], point[c]);
        load(rows[c * length + 1], second);
        sums[c] =
            add_affine(point[c], rows[c * length].negative, second, rows[c * length + 1].negative);
      }
      for (unsigned k = 2; k < length; ++k) {
        ask_for(k + kPrefetchSteps - 2);
        for (unsigned c = 0; c < kChains; ++c) {
          load(rows[c * length + k], point[c]);
          negative[c] = rows[c * length + k].negative;
        }
        add_mixed<F, kChains>(sums, point, negative);
      }
      Xyzz<F> sum = sums[0];
      for (unsigned k = kChains * length; k < walk.windows; ++k) {
        Affine<F> one_point[1];
        Xyzz<F> one_sum[1] = {sum};
        const Mask one_negative[1] = {rows[k].negative};
        load(rows[k], one_point[0]);
        add_mixed<F, 1>(one_sum, one_point, one_negative);
        sum = one_sum[0];
      }
      for (unsigned c = 1; c < kChains; ++c) sum = add(sum, sums[c]);
      exceptional[v] = F::is_zero(sum.zz);
      write_verdicts(v, count, matches(walk.scalars[v].r, sum.x, sum.zz), valid);
    }
  }

  // --- all vectors together: affine additions, one division a pass -------------------------------

  // An addition or doubling begun: its slope e/d is wanted. With (px, py) the table's point or,
  // doubling, the accumulator itself: x3 = λ² - x - px, y3 = λ·(px - x3) - py. Adding, the
  // accumulator is not kept: its x is px - d.
  struct Record {
    Element<2> before;  // product of the d of all records before
    Element<4> d;
    Element<8> e;
    Element<2> px;
    Sum<2, 2> py;
  };

  enum class Step : uint8_t { kAdd, kDouble, kEnd };

  // A pass visits all vectors: it ends one step of each and begins the next, whose divisions the
  // next pass, coming back the other way, can then do.
  class AffinePasses {
   public:
    AffinePasses(size_t vectors, Record* records, Mask* exceptional)
        : vectors_(vectors), records_(records), exceptional_(exceptional) {}

    // Accumulator v starts as the point of find(v, rows).
    template <class Find>
    void start(Find find) {
      running_ = F::one();
      for (size_t v = 0; v < vectors_; ++v) {
        exceptional_[v] = 0;
        Rows rows;
        find(v, rows);
        Affine<F> point;
        load(rows, point);
        records_[v].px = point.x;
        records_[v].py = F::negate_if(rows.negative, point.y);
      }
    }

    // The first step, from the points of start(). `find` as below.
    template <Step kStep, class Find>
    void begin(Find find) {
      for (size_t v = 0; v < vectors_; ++v) {
        Record& record = records_[v];
        if constexpr (kStep == Step::kAdd) {
          Rows rows;
          find(v, rows);
          open_addition(record, rows, record.px, record.py);
        } else {
          open_doubling(record, record.px, F::carry_reduced(record.py));
        }
      }
      forward_ = false;
    }

    // Ends the step kEnds of all vectors and begins kBegins; find(v, rows) says which row an
    // addition takes for vector v. With kEnd, the x of the sums go to `x`.
    template <Step kEnds, Step kBegins, class Find>
    void pass(Find find, Element<2>* x = nullptr) {
      const auto ask_for = [&](size_t i) {
        if (i >= vectors_) return;
        Rows& rows = ring_[i % kRing];
        find(visited(i), rows);
        F::prefetch(rows);
      };
      if constexpr (kBegins == Step::kAdd) {
        for (size_t i = 0; i < kPrefetchVectors; ++i) ask_for(i);
      }
      if (F::is_zero(running_) != 0) set_exceptions_aside();
      Element<2> inverse = F::inverse_vartime(running_);
      running_ = F::one();
      // Pipelined by one vector: between the products of one, each waiting for the last, stand
      // those that find the slope of the next.
      const Record* next = &records_[visited(0)];
      Element<2> slope = F::mul(next->e, F::mul(next->before, inverse));
      inverse = F::mul(inverse, next->d);
      for (size_t i = 0; i < vectors_; ++i) {
        const size_t v = visited(i);
        Record& record = records_[v];
        next = &records_[visited(i + 1 < vectors_ ? i + 1 : i)];
        if constexpr (kBegins == Step::kAdd) ask_for(i + kPrefetchVectors);
        const Element<2> next_inverse = F::mul(next->before, inverse);
        const auto square = F::sqr(slope);
        Element<2> x3;
        if constexpr (kEnds == Step::kAdd) {
          x3 = F::carry_reduced(square - record.px - record.px + record.d);
        } else {
          x3 = F::carry_reduced(square - record.px - record.px);
        }
        inverse = F::mul(inverse, next->d);
        if constexpr (kBegins == Step::kEnd) {
          x[v] = x3;
          slope = F::mul(next->e, next_inverse);
        } else {
          const auto rise = F::mul(slope, F::carry(record.px - x3));
          slope = F::mul(next->e, next_inverse);
          if constexpr (kBegins == Step::kAdd) {
            open_addition(record, ring_[i % kRing], x3, rise - record.py);
          } else {
            open_doubling(record, x3, F::carry_reduced(rise - record.py));
          }
        }
      }
      forward_ = !forward_;
    }

   private:
    [[nodiscard]] size_t visited(size_t i) const { return forward_ ? i : vectors_ - 1 - i; }

    COLOPHON_INLINE void open(Record& record, const Element<4>& d) {
      record.d = d;
      record.before = running_;
      running_ = F::mul(running_, record.d);
    }
    // y, in either sign, is only subtracted.
    COLOPHON_INLINE void open_addition(Record& record, const Rows& rows, const Element<2>& x,
                                       const Sum<2, 4>& y) {
      Affine<F> point;
      load(rows, point);
      const auto point_y = F::negate_if(rows.negative, point.y);
      record.e = F::carry(point_y - y);
      open(record, F::carry(point.x - x));
      record.px = point.x;  // last: x and y may be the record's own
      record.py = point_y;
    }
    COLOPHON_INLINE void open_doubling(Record& record, const Element<2>& x, const Element<2>& y) {
      const auto square = F::sqr(x);
      record.e = F::carry(square + square + square - F::three());
      record.px = x;
      record.py = y;
      open(record, F::carry(y + y));
    }

    // Some addition met ±itself: its d is zero, and so is every product since. Such lanes get d = 1
    // and are decided apart.
    void set_exceptions_aside() {
      running_ = F::one();
      for (size_t i = vectors_; i-- > 0;) {  // in the order they were begun
        Record& record = records_[visited(i)];
        const Mask zero = F::is_zero(record.d);
        if (zero != 0) {
          exceptional_[visited(i)] = static_cast<Mask>(exceptional_[visited(i)] | zero);
          record.d = F::select(zero, Element<4>(F::one()), record.d);
        }
        record.before = running_;
        running_ = F::mul(running_, record.d);
      }
    }

    static constexpr size_t kRing = 2 * kPrefetchVectors;
    const size_t vectors_;
    Record* const records_;
    Mask* const exceptional_;
    bool forward_ = true;
    Element<2> running_;
    Rows ring_[kRing];
  };

  // --- the complete way --------------------------------------------------------------------------

  // u1·G + u2·Q bit by bit with the complete formula, for the signatures items[index[i]]; about
  // five times the work of an unknown key's.
  static void verify_complete(const EcdsaItem* items, const uint32_t* index, size_t count,
                              uint8_t* valid) {
    EcdsaItem chosen[kLanes];
    for (size_t at = 0; at < count; at += kLanes) {
      const size_t left = count - at < kLanes ? count - at : kLanes;
      for (size_t i = 0; i < left; ++i) chosen[i] = items[index[at + i]];
      uint8_t verdict[kLanes];
      verify_complete_vector(chosen, left, verdict);
      for (size_t i = 0; i < left; ++i) valid[index[at + i]] = verdict[i];
    }
  }

  COLOPHON_HOST_DEVICE static void load_numbers(const EcdsaItem* items, size_t count,
                                                size_t at_signature, Word word[4]) {
    const uint8_t* number[kLanes];
    each_lane(items, count, 0, [&](size_t lane, const EcdsaItem& item) {
      number[lane] = item.signature + at_signature;
    });
    F::load_big_endian(number, word);
  }

  // Coordinates into Montgomery form.
  COLOPHON_HOST_DEVICE static Affine<F> load_point(const EcdsaItem* items, size_t count, size_t v) {
    const uint8_t* number[kLanes];
    Word word[4];
    Affine<F> point;
    each_lane(items, count, v,
              [&](size_t lane, const EcdsaItem& item) { number[lane] = item.point; });
    F::load_big_endian(number, word);
    point.x = F::canonical(F::mul(F::from_words(word), F::square_of_r()));
    each_lane(items, count, v,
              [&](size_t lane, const EcdsaItem& item) { number[lane] = item.point + 32; });
    F::load_big_endian(number, word);
    point.y = F::canonical(F::mul(F::from_words(word), F::square_of_r()));
    return point;
  }

  COLOPHON_HOST_DEVICE static Element<2> montgomery(const Words& value) {
    Word word[4];
    for (int i = 0; i < 4; ++i) word[i] = F::splat(value.word[i]);
    return F::mul(F::from_words(word), F::square_of_r());
  }

  COLOPHON_HOST_DEVICE static void verify_complete_vector(const EcdsaItem* items, size_t count,
                                                          uint8_t* valid) {
    Word r[4];
    Word s[4];
    Word e[4];
    load_numbers(items, count, 0, r);
    load_numbers(items, count, 32, s);
    const uint8_t* digest[kLanes];
    each_lane(items, count, 0,
              [&](size_t lane, const EcdsaItem& item) { digest[lane] = item.digest; });
    F::load_big_endian(digest, e);
    // R²/s, so that a product with it and one with 1 is a plain quotient.
    const OrderElement over_s =
        N::mul(N::inverse_vartime(N::from_words(s)), constant(Words{{1, 0, 0, 0}}));
    Word u1[4];
    Word u2[4];
    N::to_words(N::canonical(N::mul(N::from_words(e), over_s)), u1);
    N::to_words(N::canonical(N::mul(N::from_words(r), over_s)), u2);

    constexpr Words b_number = C::kB;
    constexpr Words gx = C::kGx;
    constexpr Words gy = C::kGy;
    const Element<2> b = montgomery(b_number);
    const Affine<F> key = load_point(items, count, 0);
    const Projective<F> infinity{F::zero(), F::one(), F::zero()};
    const Projective<F> g{montgomery(gx), montgomery(gy), F::one()};
    const Projective<F> q{key.x, key.y, F::one()};
    const Projective<F> both = add_complete(g, q, b);
    Projective<F> sum = infinity;
    const auto select = [](Mask mask, const Projective<F>& a, const Projective<F>& otherwise) {
      return Projective<F>{F::select(mask, a.x, otherwise.x), F::select(mask, a.y, otherwise.y),
                           F::select(mask, a.z, otherwise.z)};
    };
    for (unsigned bit = 256; bit-- > 0;) {
      sum = add_complete(sum, sum, b);
      const Mask has1 = F::is_one_word(F::bits(u1, bit, 1));
      const Mask has2 = F::is_one_word(F::bits(u2, bit, 1));
      const Projective<F> with1 = select(has2, both, g);
      const Projective<F> without1 = select(has2, q, infinity);
      sum = add_complete(sum, select(has1, with1, without1), b);
    }
    const Mask is_infinite = F::is_zero(sum.z);
    const Mask found = matches(r, sum.x, sum.z);
    write_verdicts(0, count, static_cast<Mask>(found & ~is_infinite), valid);
  }

  // The lanes set aside, decided the complete way.
  static void decide_exceptions(const EcdsaItem* items, size_t count, const Mask* exceptional,
                                uint32_t* index, uint8_t* valid) {
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
      if ((exceptional[i / kLanes] >> (i % kLanes) & 1) != 0) {
        index[found++] = static_cast<uint32_t>(i);
      }
    }
    verify_complete(items, index, found, valid);
  }

  // --- keys with tables --------------------------------------------------------------------------

  static size_t enrolled_bytes(size_t count) {
    const size_t vectors = vector_count(count);
    return Arena::bytes<Scalars>(vectors) + Arena::bytes<OrderElement>(vectors) +
           Arena::bytes<Word>(vectors) + Arena::bytes<Mask>(vectors) +
           Arena::bytes<uint32_t>(count) + Arena::bytes<Rows>(2 * kWindowsMax) +
           Arena::bytes<Record>(vectors) + Arena::bytes<Element<2>>(vectors);
  }

  static void verify_enrolled(const EcdsaItem* items, size_t count, unsigned key_bits,
                              const void* generator, unsigned generator_bits, uint8_t* valid,
                              void* memory) {
    const size_t vectors = vector_count(count);
    Arena arena(memory);
    auto* scalars = arena.take<Scalars>(vectors);
    make_scalars(items, count, generator_bits, key_bits, scalars,
                 arena.take<OrderElement>(vectors));
    auto* tables = arena.take<Word>(vectors);
    for (size_t v = 0; v < vectors; ++v) {
      uint64_t address[kLanes];
      each_lane(items, count, v, [&](size_t lane, const EcdsaItem& item) {
        address[lane] = reinterpret_cast<uint64_t>(item.table);
      });
      tables[v] = F::load(address);
    }
    const unsigned generator_windows = window_count(generator_bits);
    const Walk walk{scalars,
                    tables,
                    generator,
                    generator_bits,
                    key_bits,
                    generator_windows,
                    generator_windows + window_count(key_bits)};
    auto* exceptional = arena.take<Mask>(vectors);
    auto* index = arena.take<uint32_t>(count);
    if (vectors < kAffineVectorsMin) {
      verify_xyzz(walk, count, arena.take<Rows>(2 * kWindowsMax), exceptional, valid);
    } else {
      auto* records = arena.take<Record>(vectors);
      auto* x = arena.take<Element<2>>(vectors);
      AffinePasses passes(vectors, records, exceptional);
      passes.start([&](size_t v, Rows& rows) { walk.find(0, v, rows); });
      const auto window = [&walk](unsigned k) {
        return [&walk, k](size_t v, Rows& rows) { walk.find(k, v, rows); };
      };
      passes.template begin<Step::kAdd>(window(1));
      for (unsigned k = 2; k < walk.windows; ++k) {
        passes.template pass<Step::kAdd, Step::kAdd>(window(k));
      }
      passes.template pass<Step::kAdd, Step::kEnd>(window(0), x);
      for (size_t v = 0; v < vectors; ++v) {
        write_verdicts(v, count, matches(scalars[v].r, x[v], F::one()), valid);
      }
    }
    decide_exceptions(items, count, exceptional, index, valid);
  }

  // --- keys without ------------------------------------------------------------------------------

  static size_t unknown_bytes(size_t count) {
    const size_t vectors = vector_count(count);
    const size_t build = build_rows_bytes<F>(vectors, row_count(kUnknownBits));
    const size_t records = Arena::bytes<Record>(vectors) + Arena::bytes<Element<2>>(vectors);
    return Arena::bytes<Scalars>(vectors) + Arena::bytes<OrderElement>(vectors) +
           Arena::bytes<Mask>(vectors) + Arena::bytes<uint32_t>(count) +
           Arena::bytes<uint8_t>(vectors * kLanes * row_count(kUnknownBits) * kRowBytes) +
           Arena::bytes<Affine<F>>(vectors) + (build > records ? build : records);
  }

  // One window of each key's own, from which doubling makes all.
  static void verify_unknown(const EcdsaItem* items, size_t count, const void* generator,
                             unsigned generator_bits, uint8_t* valid, void* memory) {
    constexpr unsigned kBits = kUnknownBits;
    constexpr size_t kTableBytes = row_count(kBits) * kRowBytes;
    const size_t vectors = vector_count(count);
    Arena arena(memory);
    auto* scalars = arena.take<Scalars>(vectors);
    make_scalars(items, count, generator_bits, kBits, scalars, arena.take<OrderElement>(vectors));
    auto* exceptional = arena.take<Mask>(vectors);
    auto* index = arena.take<uint32_t>(count);
    auto* rows = arena.take<uint8_t>(vectors * kLanes * kTableBytes);
    auto* keys = arena.take<Affine<F>>(vectors);
    for (size_t v = 0; v < vectors; ++v) keys[v] = load_point(items, count, v);
    const auto row_of = [rows](size_t v, size_t lane) {
      return rows + (v * kLanes + lane) * kTableBytes;
    };
    build_rows<F>(keys, vectors, row_count(kBits), arena,
                  [&](size_t v, size_t r, const Affine<F>& point) {
                    uint8_t* row[kLanes];
                    for (size_t lane = 0; lane < kLanes; ++lane) {
                      row[lane] = row_of(v, lane) + r * kRowBytes;
                    }
                    F::store_row(row, point.x, point.y);
                  });
    const auto table = [&](size_t v) {
      uint64_t address[kLanes];
      for (size_t lane = 0; lane < kLanes; ++lane) {
        address[lane] = reinterpret_cast<uint64_t>(row_of(v, lane));
      }
      return F::load(address);
    };
    if (vectors < kAffineVectorsMin) {
      for (size_t v = 0; v < vectors; ++v) {
        const Jacobian<F> sum = sum_unknown(scalars[v], table(v), generator, generator_bits);
        const auto zz = F::sqr(sum.z);
        exceptional[v] = F::is_zero(zz);
        write_verdicts(v, count, matches(scalars[v].r, sum.x, zz), valid);
      }
    } else {
      // The memory of the tables' making is free again.
      auto* records = arena.take<Record>(vectors);
      auto* x = arena.take<Element<2>>(vectors);
      const auto key_window = [&](unsigned i) {
        return [&, i](size_t v, Rows& out) {
          F::find_rows(F::bits(scalars[v].u2, kBits * i, kBits), kBits, table(v), out);
        };
      };
      const auto generator_window = [&](unsigned i) {
        const Word base = F::splat(reinterpret_cast<uint64_t>(generator) +
                                   uint64_t{kRowBytes} * row_count(generator_bits) * i);
        return [&, base, i](size_t v, Rows& out) {
          F::find_rows(F::bits(scalars[v].u1, generator_bits * i, generator_bits), generator_bits,
                       base, out);
        };
      };
      AffinePasses passes(vectors, records, exceptional);
      unsigned i = window_count(kBits) - 1;
      passes.start(key_window(i));
      passes.template begin<Step::kDouble>(key_window(i));
      while (i-- > 0) {
        for (unsigned k = 1; k < kBits; ++k) {
          passes.template pass<Step::kDouble, Step::kDouble>(key_window(i));
        }
        passes.template pass<Step::kDouble, Step::kAdd>(key_window(i));
        if (i > 0) passes.template pass<Step::kAdd, Step::kDouble>(key_window(i));
      }
      for (unsigned k = 0; k < window_count(generator_bits); ++k) {
        passes.template pass<Step::kAdd, Step::kAdd>(generator_window(k));
      }
      passes.template pass<Step::kAdd, Step::kEnd>(generator_window(0), x);
      for (size_t v = 0; v < vectors; ++v) {
        write_verdicts(v, count, matches(scalars[v].r, x[v], F::one()), valid);
      }
    }
    decide_exceptions(items, count, exceptional, index, valid);
  }

  static Jacobian<F> sum_unknown(const Scalars& scalars, Word table, const void* generator,
                                 unsigned generator_bits) {
    constexpr unsigned kBits = kUnknownBits;
    Rows rows;
    Affine<F> point;
    const auto take = [&](const Word* scalar, unsigned bits, unsigned window, Word base) {
      F::find_rows(F::bits(scalar, bits * window, bits), bits, base, rows);
      load(rows, point);
    };
    unsigned window = window_count(kBits) - 1;
    take(scalars.u2, kBits, window, table);
    Jacobian<F> sum{point.x, F::carry(F::negate_if(rows.negative, point.y)), F::one()};
    while (window-- > 0) {
      for (unsigned i = 0; i < kBits; ++i) sum = twice(sum);
      take(scalars.u2, kBits, window, table);
      sum = add_mixed(sum, point, rows.negative);
    }
    const unsigned windows = window_count(generator_bits);
    const uint64_t window_bytes = uint64_t{kRowBytes} * row_count(generator_bits);
    Rows next;
    const auto ask_for = [&](unsigned i) {
      F::find_rows(F::bits(scalars.u1, generator_bits * i, generator_bits), generator_bits,
                   F::splat(reinterpret_cast<uint64_t>(generator) + window_bytes * i), next);
      F::prefetch(next);
    };
    ask_for(0);
    for (unsigned i = 0; i < windows; ++i) {
      rows = next;
      if (i + 1 < windows) ask_for(i + 1);
      load(rows, point);
      sum = add_mixed(sum, point, rows.negative);
    }
    return sum;
  }
};

}  // namespace
}  // namespace colophon::kernels
