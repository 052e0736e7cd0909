// SPDX-License-Identifier: Apache-2.0
//
// Ownership of OpenSSL objects, and its error queue left as it was found.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

namespace colophon {

template <auto Free>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<&BN_free>>;
using EcGroupPtr = std::unique_ptr<EC_GROUP, OpensslDeleter<&EC_GROUP_free>>;
using EcPointPtr = std::unique_ptr<EC_POINT, OpensslDeleter<&EC_POINT_free>>;
using EvpMdPtr = std::unique_ptr<EVP_MD, OpensslDeleter<&EVP_MD_free>>;
using EvpMdContextPtr = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<&EVP_MD_CTX_free>>;
using EvpPkeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<&EVP_PKEY_free>>;
using EvpPkeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<&EVP_PKEY_CTX_free>>;

// Whatever OpenSSL queues on this thread while this object lives is dropped when it goes; what the
// caller had queued before stays. Make one for each operation that may fail: the queue holds
// sixteen errors, and a flood of ours would push the caller's out.
class OpensslErrorScope {
 public:
  OpensslErrorScope() noexcept {
    ERR_set_mark();
    // What the caller left behind must not look like a failure of ours.
    if (out_of_memory()) ERR_raise(ERR_LIB_USER, ERR_R_OPERATION_FAIL);
  }
  ~OpensslErrorScope() { ERR_pop_to_mark(); }
  OpensslErrorScope(const OpensslErrorScope&) = delete;
  OpensslErrorScope& operator=(const OpensslErrorScope&) = delete;

  // The last failure was for want of memory, and so says nothing about the input.
  [[nodiscard]] static bool out_of_memory() noexcept {
    return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
  }
};

}  // namespace colophon
