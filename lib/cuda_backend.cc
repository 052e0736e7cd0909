// SPDX-License-Identifier: Apache-2.0
//
// The backend on an NVIDIA GPU. A device that fails costs time, never a verdict: what has not come
// back from it is verified on the CPU, its tables are forgotten, and it is opened again later.
#include "cuda_backend.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cuda_hash.h"
#include "cuda_launch.h"
#include "kernels/hash_cuda.h"
#include "openssl_digest.h"
#include "p256_plan.h"
#include "p256_tables.h"
#include "threads.h"

namespace colophon {
namespace {

using Clock = std::chrono::steady_clock;

// An enrolled key, with its place on the device (P-256) and on the CPU.
class CudaKey final : public PreparedKey {
 public:
  CudaKey(std::unique_ptr<PreparedKey> device, std::unique_ptr<PreparedKey> cpu)
      : device_(std::move(device)), cpu_(std::move(cpu)) {}
  [[nodiscard]] std::size_t memory_bytes() const noexcept override {
    return sizeof(*this) + cpu_->memory_bytes() + (device_ ? device_->memory_bytes() : 0);
  }
  [[nodiscard]] const PreparedKey* device() const { return device_.get(); }
  [[nodiscard]] const PreparedKey* cpu() const { return cpu_.get(); }

 private:
  const std::unique_ptr<PreparedKey> device_;
  const std::unique_ptr<PreparedKey> cpu_;
};

// A batch's keys, as one of the two knows them.
std::pmr::vector<BatchKey> keys_as(const VerifyWork& work,
                                   const PreparedKey* (CudaKey::*which)() const) {
  std::pmr::vector<BatchKey> keys(work.keys.begin(), work.keys.end(), work.memory);
  for (BatchKey& key : keys) {
    if (key.prepared != nullptr)
      key.prepared = (static_cast<const CudaKey*>(key.prepared)->*which)();
  }
  return keys;
}

// The part of a batch that the device does; where it fails, all that has not come back is left.
class CudaBatch {
  // Fewer are copied sooner than a thread is started.
  static constexpr std::size_t kItemsPerThreadMin = 4'096;

 public:
  CudaBatch(CudaSession& session, P256Tables& tables, const CudaOptions& options,
            const VerifyWork& work)
      : session_(session),
        work_(work),
        threads_(useful_threads(work.items.size(), kItemsPerThreadMin, work.threads)),
        plan_(work, tables, std::min(share(), options.with_table_max),
              std::min(share(), options.without_max)),
        is_done_(plan_.pieces().size(), 0, work.memory) {}

  // False: some are left.
  [[nodiscard]] bool run(P256Tables& tables) {
    Result<P256TablePtr> generator = tables.generator(work_.items.size());
    if (!generator) {
      (void)session_.fail(std::move(generator).error());
      return false;
    }
    generator_ = *generator;
    run_on_threads(std::min(threads_, plan_.pieces().size()),
                   [this](std::size_t /*i*/) { take_pieces(); });
    return std::find(is_done_.begin(), is_done_.end(), 0) == is_done_.end();
  }

  // Those left, in the order of the batch's.
  [[nodiscard]] std::vector<std::uint32_t> left() const {
    std::vector<bool> is_left(work_.inputs.size());
    for (std::size_t i = 0; i < plan_.pieces().size(); ++i) {
      if (is_done_[i] != 0) continue;
      for (const P256Entry& entry : plan_.entries(plan_.pieces()[i])) is_left[entry.item] = true;
    }
    std::vector<std::uint32_t> items;
    std::copy_if(work_.items.begin(), work_.items.end(), std::back_inserter(items),
                 [&](std::uint32_t item) { return is_left[item]; });
    return items;
  }

 private:
  struct Flight {
    CudaSlot* slot = nullptr;
    std::size_t piece = 0;
  };

  // A thread's, so that all have some to prepare for the device.
  [[nodiscard]] std::size_t share() const { return (work_.items.size() + threads_ - 1) / threads_; }

  // While the device is at work on a piece, the next is put together.
  void take_pieces() noexcept {
    try {
      Flight flight;
      CudaSlot* spare = nullptr;
      for (std::size_t i = next_++; i < plan_.pieces().size(); i = next_++) {
        CudaSlot* slot = std::exchange(spare, nullptr);
        if (slot == nullptr) slot = session_.take_slot(/*wait=*/flight.slot == nullptr);
        if (slot == nullptr && flight.slot != nullptr && land(flight)) {
          slot = std::exchange(flight.slot, nullptr);
        }
        if (slot == nullptr || !start(*slot, plan_.pieces()[i])) return;
        if (flight.slot != nullptr) {
          if (!land(flight)) return;
          spare = flight.slot;
        }
        flight = {slot, i};
      }
      if (flight.slot != nullptr && land(flight)) session_.give_back(flight.slot);
      if (spare != nullptr) session_.give_back(spare);
    } catch (const std::exception&) {
      (void)session_.fail(make_error(ErrorCode::kInternal, "out of memory", "backend"));
    }
  }

  [[nodiscard]] bool start(CudaSlot& slot, const P256Piece& piece) {
    P256CudaJob job;
    job.count = static_cast<std::uint32_t>(piece.count);
    job.key_bits = piece.bits;
    job.generator = generator_->memory.get();
    job.generator_bits = generator_->bits;
    session_.choose_shape(job);
    kernels::P256CudaSignature* const signatures = slot.signatures();
    kernels::P256CudaKey* const keys = slot.keys(job.count);
    const std::span entries = plan_.entries(piece);
    for (std::size_t k = 0; k < piece.count; ++k) {
      const auto [item, table] = entries[k];
      if (k == 0 || work_.key_of[entries[k - 1].item] != work_.key_of[item]) {
        kernels::P256CudaKey& key = keys[job.key_count];
        set_point(key, work_.keys[work_.key_of[item]].key->bytes.data());
        key.table =
            piece.bits == 0 ? slot.table_of(job.key_count) : reinterpret_cast<std::uint64_t>(table);
        ++job.key_count;
      }
      kernels::P256CudaSignature& signature = signatures[k];
      const std::uint8_t* const r_and_s = work_.signatures[item].data();
      std::memcpy(signature.r, r_and_s, sizeof(signature.r));
      std::memcpy(signature.s, r_and_s + sizeof(signature.r), sizeof(signature.s));
      const ByteSpan input = work_.inputs[item];
      if (work_.input == InputKind::kMessage) {
        const Digest digest = sha256(input);
        std::memcpy(signature.e, digest.data(), sizeof(signature.e));
      } else {
        std::memcpy(signature.e, input.data(), sizeof(signature.e));
      }
      signature.key = job.key_count - 1;
    }
    // A shape may be for more: the first over again.
    std::fill(signatures + piece.count, signatures + job.count, signatures[0]);
    if (job.lanes != 0) {
      std::fill(keys + job.key_count, keys + job.count, keys[0]);
      job.key_count = job.count;
    }
    return slot.start(job).ok();
  }

  [[nodiscard]] bool land(const Flight& flight) {
    const Result<const std::uint8_t*> valid = flight.slot->finish();
    if (!valid || session_.has_failed())
      return false;  // by another's work, perhaps with wrong bytes
    const std::span entries = plan_.entries(plan_.pieces()[flight.piece]);
    for (std::size_t k = 0; k < entries.size(); ++k) {
      work_.verdicts[entries[k].item] = (*valid)[k] != 0 ? Verdict::kValid : Verdict::kMismatch;
    }
    is_done_[flight.piece] = 1;
    return true;
  }

  CudaSession& session_;
  const VerifyWork& work_;
  const std::size_t threads_;
  const P256Plan plan_;
  P256TablePtr generator_;
  std::pmr::vector<std::uint8_t> is_done_;  // a piece
  std::atomic<std::size_t> next_ = 0;
};

// What a device that hangs may yet write to has to stay.
void keep_for_good(std::unique_ptr<CudaSession> session) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<CudaSession>>;
  const std::scoped_lock guard(mutex);
  kept->push_back(std::move(session));
}

class CudaBackend final : public BackendImplementation, private P256TableMaker {
 public:
  CudaBackend(const CudaOptions& options, const BackendImplementation& (*cpu)())
      : options_(options),
        name_(options.device == 0 ? "cuda" : "cuda:" + std::to_string(options.device)),
        cpu_(cpu),
        tables_(*this, 0) {
    info_.index = static_cast<unsigned>(options.device);
  }
  ~CudaBackend() override {
    tables_.drop_all();
    if (session_ && !session_->close()) keep_for_good(std::move(session_));
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::string description() const override {
    const std::scoped_lock guard(info_mutex_);
    const std::string where =
        info_.name.empty() ? "an NVIDIA GPU"
                           : info_.name + " (compute capability " + info_.compute_capability + ")";
    return "ECDSA P-256 and large batches of hashes on " + where + "; all else as " +
           std::string(cpu_().name());
  }
  [[nodiscard]] std::string unsupported_reason() const override {
    const std::unique_lock alone(mutex_);
    if (is_usable_) return {};
    // One that failed, and may not have let go of the device yet, is for recover() to end.
    if (session_) return session_->failure().message;
    const Result<void> opened = open();
    return opened ? std::string() : opened.error().message;
  }

  [[nodiscard]] Result<std::unique_ptr<PreparedKey>> prepare_key(
      const PublicKey& key) const override {
    COLOPHON_TRY_ASSIGN(auto cpu, cpu_().prepare_key(key));
    std::unique_ptr<PreparedKey> device;
    if (key.scheme == Scheme::kEcdsaP256Sha256) device = tables_.enrol(key);
    return std::unique_ptr<PreparedKey>(
        std::make_unique<CudaKey>(std::move(device), std::move(cpu)));
  }

  [[nodiscard]] Result<void> verify(const VerifyWork& work) const override {
    if (work.scheme != Scheme::kEcdsaP256Sha256) return verify_on_cpu(work, work.items);
    if (!is_usable_) recover();
    std::vector<std::uint32_t> left;
    // Not held while the CPU is at work: recover() needs it for itself.
    if (const std::shared_lock inside(mutex_, std::try_to_lock); inside && session_) {
      left = verify_on_device(work);
      if (session_->has_failed()) note_fault(*session_);
      signatures_ += work.items.size() - left.size();
    } else {
      left.assign(work.items.begin(), work.items.end());
    }
    if (left.empty()) return {};
    signatures_on_cpu_ += left.size();
    return verify_on_cpu(work, left);
  }

  [[nodiscard]] Result<void> hash(const HashForm& form, const Slices& messages,
                                  std::uint8_t* digests) const override {
    const std::size_t done = on_device(messages.size(), [&](CudaSession& session) {
      return cuda_hash(session, cpu_(), form, messages, digests);
    });
    if (done == messages.size()) return {};
    const Slices left = {messages.bytes, messages.offsets.subspan(done)};
    return cpu_().hash(form, left, digests + done * digest_bytes(form.algorithm));
  }
  [[nodiscard]] Result<void> hash_pairs(const HashForm& form, const std::uint8_t* nodes,
                                        std::size_t count, std::uint8_t* parents) const override {
    const std::size_t done = on_device(count, [&](CudaSession& session) {
      return cuda_hash_pairs(session, cpu_(), form, nodes, count, parents);
    });
    const std::size_t each = digest_bytes(form.algorithm);
    if (done == 0) return cpu_().hash_pairs(form, nodes, count, parents);
    if (done == count) return {};
    // Those left may lie where their own parents go.
    const std::vector<std::uint8_t> left(nodes + 2 * done * each, nodes + 2 * count * each);
    return cpu_().hash_pairs(form, left.data(), count - done, parents + done * each);
  }
  [[nodiscard]] Result<void> hash_tree(const HashForm& form, const std::uint8_t* nodes,
                                       std::size_t count, std::uint8_t* root) const override {
    std::vector<std::uint8_t> level;  // the row of a tree that is left, once a tile has become one
    while (has_tiles(form)) {
      const std::size_t tiles = count / kTile;
      std::vector<std::uint8_t> roots = tile_roots(TilesOf::kHashes, nodes, count);
      if (roots.empty()) break;
      if (const std::size_t rest = count % kTile; rest != 0) {
        COLOPHON_TRY(cpu_().hash_tree(form, nodes + tiles * kTile * sizeof(Digest), rest,
                                      &roots[tiles * sizeof(Digest)]));
      }
      count = roots.size() / sizeof(Digest);
      level = std::move(roots);
      nodes = level.data();
    }
    return cpu_().hash_tree(form, nodes, count, root);
  }
  [[nodiscard]] Result<void> hash_leaves_tree(const HashForm& leaf_form, const HashForm& form,
                                              const Slices& leaves,
                                              std::uint8_t* root) const override {
    const bool can =
        has_tiles(form) && leaf_form.prefix == 0x00 && length_of_each(leaves) == sizeof(Digest);
    std::vector<std::uint8_t> roots;
    if (can) roots = tile_roots(TilesOf::kLeaves, leaves[0].data(), leaves.size());
    if (roots.empty()) {
      return BackendImplementation::hash_leaves_tree(leaf_form, form, leaves, root);
    }
    const std::size_t in_tiles = leaves.size() / kTile * kTile;
    if (in_tiles < leaves.size()) {
      const Slices rest{leaves.bytes, leaves.offsets.subspan(in_tiles)};
      COLOPHON_TRY(cpu_().hash_leaves_tree(leaf_form, form, rest,
                                           &roots[in_tiles / kTile * sizeof(Digest)]));
    }
    return hash_tree(form, roots.data(), roots.size() / sizeof(Digest), root);
  }
  [[nodiscard]] Result<std::unique_ptr<HashStream::State>> hash_stream(
      const StreamForm& form) const override {
    return cpu_().hash_stream(form);
  }
  [[nodiscard]] std::string hashing() const override { return cpu_().hashing(); }

  [[nodiscard]] Result<void> set_table_memory_max(std::size_t bytes) const override {
    // Beside batches, which use the tables meanwhile; not while the device is opened.
    const std::shared_lock inside(mutex_);
    const std::scoped_lock guard(info_mutex_);
    if (is_opened_once_ && bytes > table_memory_room_) {
      return make_error(ErrorCode::kInvalidArgument,
                        "table_memory is " + std::to_string(bytes) + " bytes, but GPU " +
                            std::to_string(info_.index) + " has room for " +
                            std::to_string(table_memory_room_),
                        "table_memory");
    }
    table_memory_asked_ = bytes;
    tables_.set_memory_max(bytes);
    return {};
  }
  // More than a warp's. Where the ways part is measured when the device is opened, which tries them
  // all.
  [[nodiscard]] std::size_t large_batch_min() const override { return 33; }
  [[nodiscard]] TableMemory table_memory() const override { return tables_.memory(); }
  [[nodiscard]] std::optional<DeviceInfo> device() const override {
    const std::scoped_lock guard(info_mutex_);
    DeviceInfo info = info_;
    info.in_use = is_usable_;
    info.signatures = signatures_;
    info.signatures_on_cpu = signatures_on_cpu_;
    return info;
  }

 private:
  // The items left, in the order of the batch's. With the session there.
  [[nodiscard]] std::vector<std::uint32_t> verify_on_device(const VerifyWork& work) const {
    try {
      if (!session_->has_failed()) {
        const auto keys = keys_as(work, &CudaKey::device);
        VerifyWork device_work = work;
        device_work.keys = keys;
        CudaBatch batch(*session_, tables_, options_, device_work);
        if (!batch.run(tables_)) return batch.left();
        last_good_ = Clock::now().time_since_epoch().count();
        return {};
      }
    } catch (const std::bad_alloc&) {
      // The CPU needs less memory.
    }
    return {work.items.begin(), work.items.end()};
  }
  [[nodiscard]] Result<void> verify_on_cpu(const VerifyWork& work,
                                           std::span<const std::uint32_t> items) const {
    const auto keys = keys_as(work, &CudaKey::cpu);
    VerifyWork cpu_work = work;
    cpu_work.keys = keys;
    cpu_work.items = items;
    return cpu_().verify(cpu_work);
  }

  static constexpr std::size_t kTile = kernels::kMerkleCudaTileLeaves;
  static bool has_tiles(const HashForm& form) {
    return form.algorithm == HashAlgorithm::kSha256 && form.prefix == 0x01 && !form.twice;
  }
  // The roots of the tiles of some nodes, and room for that of the nodes left, a subtree that is
  // not complete, which moves up as it is. Empty: there are few, or the device failed, and what
  // came back is not worth keeping.
  [[nodiscard]] std::vector<std::uint8_t> tile_roots(TilesOf kind, const std::uint8_t* nodes,
                                                     std::size_t count) const {
    const std::size_t tiles = count / kTile;
    std::vector<std::uint8_t> roots((tiles + (count % kTile != 0 ? 1 : 0)) * sizeof(Digest));
    const std::size_t done = on_device(count, [&](CudaSession& session) {
      return cuda_hash_tiles(session, cpu_(), kind, nodes, tiles, roots.data());
    });
    if (done != tiles || tiles == 0) return {};
    return roots;
  }

  // What `work` says of so many hashes that it did; 0 where they are too few or there is no device.
  template <class Work>
  [[nodiscard]] std::size_t on_device(std::size_t count, const Work& work) const {
    if (count < options_.hashes_min) return 0;
    if (!is_usable_) recover();
    const std::shared_lock inside(mutex_, std::try_to_lock);
    if (!inside || !session_) return 0;
    const std::size_t done = session_->has_failed() ? 0 : work(*session_);
    if (session_->has_failed()) {
      note_fault(*session_);
    } else {
      last_good_ = Clock::now().time_since_epoch().count();
    }
    return done;
  }

  // --- tables: called inside a batch only, with the session there ---

  [[nodiscard]] std::size_t table_bytes(unsigned bits) const override {
    return CudaSession::table_bytes(bits);
  }
  [[nodiscard]] std::size_t build_bytes(unsigned /*bits*/) const override { return 0; }
  [[nodiscard]] std::size_t at_once() const override { return CudaSession::kTablesAtOnce; }
  void make(std::span<P256Build> builds, unsigned bits) const noexcept override {
    try {
      (void)session_->make_tables(builds, bits);
    } catch (const std::exception&) {
      return;  // no memory: those left stay without
    }
  }

  // --- failing and coming back ---

  // Once a session.
  void note_fault(const CudaSession& session) const {
    const std::scoped_lock guard(info_mutex_);
    if (!is_usable_.exchange(false)) return;
    const auto now = Clock::now();
    // A device that did its work for long is given another chance soon.
    const Clock::time_point last_good{Clock::duration(last_good_)};
    const bool held_out = last_good - opened_at_ > 10 * retry_delay_;
    schedule_retry(now, held_out);
    ++info_.faults;
    info_.last_fault = session.failure().message;
  }
  void schedule_retry(Clock::time_point now, bool from_the_start) const {
    retry_delay_ = from_the_start || retry_delay_.count() == 0
                       ? Clock::duration(options_.retry_first)
                       : std::min<Clock::duration>(2 * retry_delay_, options_.retry_max);
    retry_at_ = now + retry_delay_;
  }

  // Closes what has failed, and opens anew when it is time. One batch does it, the others go on
  // meanwhile on the CPU.
  void recover() const {
    const std::unique_lock alone(mutex_, std::try_to_lock);
    if (!alone || is_usable_) return;
    if (session_) {
      tables_.drop_all();
      if (!session_->close()) return;
      session_.reset();
    }
    if (Clock::now() >= retry_at_) (void)open();
  }

  // With the lock held by this thread alone, and no session.
  [[nodiscard]] Result<void> open() const {
    auto session = std::make_unique<CudaSession>(options_);
    Result<void> opened = session->open();
    const DeviceInfo device = session->device();
    // A device that is still at work on what it was given keeps it; recover() tries again.
    if (opened || !session->close()) session_ = std::move(session);
    const std::scoped_lock guard(info_mutex_);
    if (!device.name.empty()) {  // known, whether or not it can be used
      info_.name = device.name;
      info_.compute_capability = device.compute_capability;
      info_.driver = device.driver;
      info_.memory_bytes = device.memory_bytes;
      info_.memory_free = device.memory_free;
      info_.low_latency_max = device.low_latency_max;
    }
    if (!opened) {
      info_.last_fault = opened.error().message;
      if (is_opened_once_) ++info_.faults;
      schedule_retry(Clock::now(), false);
      return opened;
    }
    table_memory_room_ = session_->table_memory_max();
    tables_.set_memory_max(
        std::min(table_memory_asked_.value_or(table_memory_room_ / 2), table_memory_room_));
    opened_at_ = Clock::now();
    is_opened_once_ = true;
    is_usable_ = true;
    return {};
  }

  const CudaOptions options_;
  const std::string name_;
  const BackendImplementation& (*const cpu_)();

  // Shared by batches, for as long as they use the session or tables of it; held alone to open and
  // close it.
  mutable std::shared_mutex mutex_;
  mutable std::unique_ptr<CudaSession> session_;
  mutable std::atomic<bool> is_usable_ = false;  // a session, not known to have failed

  mutable std::mutex info_mutex_;
  mutable DeviceInfo info_;
  mutable bool is_opened_once_ = false;
  mutable std::size_t table_memory_room_ = 0;  // when it was last opened
  mutable std::optional<std::size_t> table_memory_asked_;
  mutable Clock::time_point opened_at_;
  mutable std::atomic<Clock::rep> last_good_ = 0;  // when a batch was last done
  mutable Clock::time_point retry_at_;
  mutable Clock::duration retry_delay_{};
  mutable std::atomic<std::uint64_t> signatures_ = 0;
  mutable std::atomic<std::uint64_t> signatures_on_cpu_ = 0;

  mutable P256Tables tables_;
};

}  // namespace

std::unique_ptr<const BackendImplementation> make_cuda_backend(
    const CudaOptions& options, const BackendImplementation& (*cpu)()) {
  return std::make_unique<const CudaBackend>(options, cpu);
}

const BackendImplementation& cuda_backend(int device) {
  // Never destroyed: keys enrolled in registries of static storage may outlive any order of
  // destruction.
  static std::mutex mutex;
  static auto* const backends = new std::map<int, std::unique_ptr<const BackendImplementation>>;
  const std::scoped_lock guard(mutex);
  auto& backend = (*backends)[device];
  if (!backend) {
    CudaOptions options;
    options.device = device;
    backend = make_cuda_backend(options, best_cpu_backend);
  }
  return *backend;
}

}  // namespace colophon
