/* SPDX-License-Identifier: Apache-2.0
 *
 * A PKCS#11 module for tests: forwards to SoftHSM, counts what reaches it, and fails as told. The
 * test loads the same file with dlopen and finds the struct by the name "proxy_control". */
#ifndef COLOPHON_TESTS_HSM_PROXY_MODULE_H
#define COLOPHON_TESTS_HSM_PROXY_MODULE_H

#ifdef __cplusplus
extern "C" {
#endif

enum proxy_call {
  PROXY_INITIALIZE,
  PROXY_FINALIZE,
  PROXY_GET_SLOT_LIST,
  PROXY_OPEN_SESSION,
  PROXY_CLOSE_SESSION,
  PROXY_LOGIN,
  PROXY_FIND_OBJECTS_INIT,
  PROXY_GET_ATTRIBUTE_VALUE,
  PROXY_SET_ATTRIBUTE_VALUE,
  PROXY_GENERATE_KEY_PAIR,
  PROXY_GET_MECHANISM_INFO,
  PROXY_DESTROY_OBJECT,
  PROXY_SIGN_INIT,
  PROXY_SIGN,
  PROXY_CALLS
};

struct proxy_control {
  /* Forget all faults and counts. */
  void (*reset)(void);
  /* How often the call came in since the reset, failed or not. */
  unsigned (*count)(enum proxy_call call);
  /* Let `after` calls pass, then have `times` of them return `rv` without reaching SoftHSM. */
  void (*fail)(enum proxy_call call, unsigned long rv, unsigned after, unsigned times);
  /* The same, but SoftHSM does the work and its answer is thrown away. */
  void (*lose_reply)(enum proxy_call call, unsigned long rv, unsigned after, unsigned times);
  /* Flags added to what C_GetTokenInfo says. */
  void (*add_token_flags)(unsigned long flags);
  /* The most sessions at once; CKR_SESSION_COUNT above it. 0: no limit. */
  void (*limit_sessions)(unsigned limit);
  /* Every session of every token closed behind the caller's back, logins with them. */
  void (*lose_sessions)(void);
  /* The same when this call comes in, after `after` others of it. */
  void (*lose_sessions_at)(enum proxy_call call, unsigned after);
  /* Every call but C_Finalize and C_Initialize fails with `rv` until C_Initialize comes. */
  void (*break_until_initialize)(unsigned long rv);
  /* C_GetAttributeValue answers `value` for this boolean attribute; below 0: that there is none. */
  void (*override_attribute)(unsigned long type, int value);
  /* The next `times` key pairs are made without label and id, and their C_GenerateKeyPair fails. */
  void (*lose_names)(unsigned times);
  /* The next call waits until there are `callers` of it, 10 s at most. */
  void (*gather)(enum proxy_call call, unsigned callers);
  /* The next `times` signatures have one bit flipped. */
  void (*spoil_signatures)(unsigned times);
  /* More than one thread was seen in one session at once. */
  int (*saw_shared_session)(void);
  /* The most sessions that were open at once since the reset. */
  unsigned (*sessions_seen)(void);
};

#ifdef __cplusplus
}
#endif
#endif
