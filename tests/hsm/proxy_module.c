/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy_module.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kSessionsMax = 256 };

struct fault {
  CK_RV rv;
  unsigned after, times;
  int forward; /* SoftHSM does the work all the same */
  int lose_sessions;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static CK_FUNCTION_LIST* target; /* SoftHSM's */
static CK_FUNCTION_LIST ours;
/* All below under `mutex`. */
static unsigned counts[PROXY_CALLS];
static struct fault faults[PROXY_CALLS];
static CK_FLAGS token_flags;
static unsigned session_limit, sessions_open, sessions_seen;
static CK_RV broken;
static CK_ATTRIBUTE_TYPE override_type;
static int override_value, override_set;
static unsigned spoil, nameless;
static pthread_cond_t gathered = PTHREAD_COND_INITIALIZER;
static enum proxy_call gather_call;
static unsigned gather_missing;              /* callers still to come */
static CK_SESSION_HANDLE busy[kSessionsMax]; /* sessions in a call now */
static int shared_session;

/* Requires `mutex`. */
static void wait_for_others(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 10;
  if (--gather_missing == 0) pthread_cond_broadcast(&gathered);
  while (gather_missing > 0 && pthread_cond_timedwait(&gathered, &mutex, &until) == 0) {
  }
  gather_missing = 0;
}

static void control_lose_sessions(void) {
  CK_SLOT_ID slots[64];
  CK_ULONG i, count = 64;
  if (target->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK) return;
  for (i = 0; i < count; ++i) target->C_CloseAllSessions(slots[i]);
  pthread_mutex_lock(&mutex);
  sessions_open = 0;
  pthread_mutex_unlock(&mutex);
}

/* Counts a call. CKR_OK: go on; with *lost_rv set: forward, then return that. */
static CK_RV arrive(enum proxy_call call, CK_RV* lost_rv) {
  CK_RV rv = CKR_OK;
  int lose_sessions = 0;
  struct fault* fault = &faults[call];
  pthread_mutex_lock(&mutex);
  *lost_rv = CKR_OK;
  ++counts[call];
  if (gather_missing > 0 && call == gather_call) wait_for_others();
  if (broken != CKR_OK && call != PROXY_INITIALIZE && call != PROXY_FINALIZE) {
    rv = broken;
  } else if (fault->times > 0) {
    if (fault->after > 0) {
      --fault->after;
    } else {
      --fault->times;
      lose_sessions = fault->lose_sessions;
      *(fault->forward ? lost_rv : &rv) = fault->rv;
    }
  }
  pthread_mutex_unlock(&mutex);
  if (lose_sessions) control_lose_sessions();
  return rv;
}

static void enter_session(CK_SESSION_HANDLE session) {
  int i, empty = -1;
  pthread_mutex_lock(&mutex);
  for (i = 0; i < kSessionsMax; ++i) {
    if (busy[i] == session) shared_session = 1;
    if (busy[i] == 0) empty = i;
  }
  if (empty >= 0) busy[empty] = session;
  pthread_mutex_unlock(&mutex);
}

static void leave_session(CK_SESSION_HANDLE session) {
  int i;
  pthread_mutex_lock(&mutex);
  for (i = 0; i < kSessionsMax; ++i) {
    if (busy[i] == session) {
      busy[i] = 0;
      break;
    }
  }
  pthread_mutex_unlock(&mutex);
}

/* A call that names no session, and one that does. */
#define FORWARD(call, expression)               \
  do {                                          \
    CK_RV lost_rv, rv = arrive(call, &lost_rv); \
    if (rv != CKR_OK) return rv;                \
    rv = (expression);                          \
    return lost_rv != CKR_OK ? lost_rv : rv;    \
  } while (0)
#define FORWARD_IN(session, call, expression)   \
  do {                                          \
    CK_RV lost_rv, rv = arrive(call, &lost_rv); \
    if (rv != CKR_OK) return rv;                \
    enter_session(session);                     \
    rv = (expression);                          \
    leave_session(session);                     \
    return lost_rv != CKR_OK ? lost_rv : rv;    \
  } while (0)

static CK_RV proxy_initialize(void* arguments) {
  pthread_mutex_lock(&mutex);
  broken = CKR_OK;
  sessions_open = 0;
  pthread_mutex_unlock(&mutex);
  FORWARD(PROXY_INITIALIZE, target->C_Initialize(arguments));
}

static CK_RV proxy_finalize(void* reserved) {
  FORWARD(PROXY_FINALIZE, target->C_Finalize(reserved));
}

static CK_RV proxy_get_slot_list(CK_BBOOL present, CK_SLOT_ID* list, CK_ULONG* count) {
  FORWARD(PROXY_GET_SLOT_LIST, target->C_GetSlotList(present, list, count));
}

static CK_RV proxy_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  const CK_RV rv = target->C_GetTokenInfo(slot, info);
  pthread_mutex_lock(&mutex);
  if (rv == CKR_OK) info->flags |= token_flags;
  pthread_mutex_unlock(&mutex);
  return rv;
}

static CK_RV proxy_get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                                      CK_MECHANISM_INFO* info) {
  FORWARD(PROXY_GET_MECHANISM_INFO, target->C_GetMechanismInfo(slot, type, info));
}

static CK_RV proxy_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void* application,
                                CK_NOTIFY notify, CK_SESSION_HANDLE* session) {
  CK_RV lost_rv, rv = arrive(PROXY_OPEN_SESSION, &lost_rv);
  if (rv != CKR_OK) return rv;
  pthread_mutex_lock(&mutex);
  if (session_limit != 0 && sessions_open >= session_limit) rv = CKR_SESSION_COUNT;
  if (rv == CKR_OK) ++sessions_open;
  if (sessions_open > sessions_seen) sessions_seen = sessions_open;
  pthread_mutex_unlock(&mutex);
  return rv == CKR_OK ? target->C_OpenSession(slot, flags, application, notify, session) : rv;
}

static CK_RV proxy_close_session(CK_SESSION_HANDLE session) {
  CK_RV lost_rv, rv = arrive(PROXY_CLOSE_SESSION, &lost_rv);
  if (rv != CKR_OK) return rv;
  pthread_mutex_lock(&mutex);
  if (sessions_open > 0) --sessions_open;
  pthread_mutex_unlock(&mutex);
  return target->C_CloseSession(session);
}

static CK_RV proxy_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char* pin,
                         CK_ULONG size) {
  FORWARD_IN(session, PROXY_LOGIN, target->C_Login(session, user, pin, size));
}

static CK_RV proxy_find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE* wanted,
                                     CK_ULONG count) {
  FORWARD_IN(session, PROXY_FIND_OBJECTS_INIT, target->C_FindObjectsInit(session, wanted, count));
}

static CK_RV override_answers(CK_ATTRIBUTE* attributes, CK_ULONG count) {
  CK_ULONG i;
  CK_RV rv = CKR_OK;
  pthread_mutex_lock(&mutex);
  for (i = 0; i < count; ++i) {
    if (!override_set || attributes[i].type != override_type) continue;
    if (override_value < 0) {
      attributes[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
      rv = CKR_ATTRIBUTE_TYPE_INVALID;
    } else if (attributes[i].pValue != NULL) {
      *(CK_BBOOL*)attributes[i].pValue = override_value ? CK_TRUE : CK_FALSE;
    }
  }
  pthread_mutex_unlock(&mutex);
  return rv;
}

static CK_RV proxy_get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                       CK_ATTRIBUTE* attributes, CK_ULONG count) {
  CK_RV lost_rv, rv = arrive(PROXY_GET_ATTRIBUTE_VALUE, &lost_rv);
  if (rv != CKR_OK) return rv;
  enter_session(session);
  rv = target->C_GetAttributeValue(session, object, attributes, count);
  leave_session(session);
  if (lost_rv != CKR_OK) return lost_rv;
  return rv == CKR_OK ? override_answers(attributes, count) : rv;
}

static CK_RV proxy_set_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                       CK_ATTRIBUTE* attributes, CK_ULONG count) {
  FORWARD_IN(session, PROXY_SET_ATTRIBUTE_VALUE,
             target->C_SetAttributeValue(session, object, attributes, count));
}

/* Moves label and id to the end and returns how many attributes are before them. */
static CK_ULONG without_names(CK_ATTRIBUTE* attributes, CK_ULONG count) {
  CK_ULONG i, kept = 0;
  for (i = 0; i < count; ++i) {
    const CK_ATTRIBUTE one = attributes[i];
    if (one.type == CKA_LABEL || one.type == CKA_ID) continue;
    attributes[i] = attributes[kept];
    attributes[kept++] = one;
  }
  return kept;
}

static CK_RV proxy_generate_key_pair(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                     CK_ATTRIBUTE* public_half, CK_ULONG public_count,
                                     CK_ATTRIBUTE* private_half, CK_ULONG private_count,
                                     CK_OBJECT_HANDLE* public_key, CK_OBJECT_HANDLE* private_key) {
  int loses_names;
  pthread_mutex_lock(&mutex);
  loses_names = nameless > 0;
  if (loses_names) --nameless;
  pthread_mutex_unlock(&mutex);
  if (loses_names) {
    const CK_RV rv = target->C_GenerateKeyPair(
        session, mechanism, public_half, without_names(public_half, public_count), private_half,
        without_names(private_half, private_count), public_key, private_key);
    return rv == CKR_OK ? CKR_GENERAL_ERROR : rv;
  }
  FORWARD_IN(session, PROXY_GENERATE_KEY_PAIR,
             target->C_GenerateKeyPair(session, mechanism, public_half, public_count, private_half,
                                       private_count, public_key, private_key));
}

static CK_RV proxy_destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  FORWARD_IN(session, PROXY_DESTROY_OBJECT, target->C_DestroyObject(session, object));
}

/* SoftHSM 2.6.1 loses an ASN.1 string in each C_SignInit with an Ed25519 key. The leak checker,
 * where there is one, cannot see that it is SoftHSM's: OpenSSL's frames cannot be walked. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

static CK_RV sign_init_unwatched(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                 CK_OBJECT_HANDLE key) {
  CK_RV rv;
  if (__lsan_disable != NULL) __lsan_disable();
  rv = target->C_SignInit(session, mechanism, key);
  if (__lsan_enable != NULL) __lsan_enable();
  return rv;
}

static CK_RV proxy_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                             CK_OBJECT_HANDLE key) {
  FORWARD_IN(session, PROXY_SIGN_INIT, sign_init_unwatched(session, mechanism, key));
}

static CK_RV proxy_sign(CK_SESSION_HANDLE session, unsigned char* data, CK_ULONG size,
                        unsigned char* signature, CK_ULONG* signature_size) {
  CK_RV lost_rv, rv = arrive(PROXY_SIGN, &lost_rv);
  if (rv != CKR_OK) return rv;
  enter_session(session);
  rv = target->C_Sign(session, data, size, signature, signature_size);
  leave_session(session);
  pthread_mutex_lock(&mutex);
  if (rv == CKR_OK && spoil > 0) {
    --spoil;
    signature[10] ^= 1;
  }
  pthread_mutex_unlock(&mutex);
  return lost_rv != CKR_OK ? lost_rv : rv;
}

/* --- what the test calls ---------------------------------------------------------------------- */

static void control_reset(void) {
  pthread_mutex_lock(&mutex);
  memset(counts, 0, sizeof counts);
  memset(faults, 0, sizeof faults);
  token_flags = 0;
  session_limit = 0;
  sessions_seen = sessions_open;
  broken = CKR_OK;
  override_set = 0;
  spoil = 0;
  nameless = 0;
  gather_missing = 0;
  shared_session = 0;
  pthread_mutex_unlock(&mutex);
}

static unsigned control_count(enum proxy_call call) {
  unsigned count;
  pthread_mutex_lock(&mutex);
  count = counts[call];
  pthread_mutex_unlock(&mutex);
  return count;
}

static void set_fault(enum proxy_call call, struct fault fault) {
  pthread_mutex_lock(&mutex);
  faults[call] = fault;
  pthread_mutex_unlock(&mutex);
}

static void control_fail(enum proxy_call call, unsigned long rv, unsigned after, unsigned times) {
  const struct fault fault = {rv, after, times, 0, 0};
  set_fault(call, fault);
}

static void control_lose_reply(enum proxy_call call, unsigned long rv, unsigned after,
                               unsigned times) {
  const struct fault fault = {rv, after, times, 1, 0};
  set_fault(call, fault);
}

static void control_lose_sessions_at(enum proxy_call call, unsigned after) {
  const struct fault fault = {CKR_OK, after, 1, 1, 1};
  set_fault(call, fault);
}

static void control_add_token_flags(unsigned long flags) {
  pthread_mutex_lock(&mutex);
  token_flags = flags;
  pthread_mutex_unlock(&mutex);
}

static void control_limit_sessions(unsigned limit) {
  pthread_mutex_lock(&mutex);
  session_limit = limit;
  pthread_mutex_unlock(&mutex);
}

static void control_break_until_initialize(unsigned long rv) {
  pthread_mutex_lock(&mutex);
  broken = rv;
  pthread_mutex_unlock(&mutex);
}

static void control_override_attribute(unsigned long type, int value) {
  pthread_mutex_lock(&mutex);
  override_type = type;
  override_value = value;
  override_set = 1;
  pthread_mutex_unlock(&mutex);
}

static void control_lose_names(unsigned times) {
  pthread_mutex_lock(&mutex);
  nameless = times;
  pthread_mutex_unlock(&mutex);
}

static void control_gather(enum proxy_call call, unsigned callers) {
  pthread_mutex_lock(&mutex);
  gather_call = call;
  gather_missing = callers;
  pthread_mutex_unlock(&mutex);
}

static void control_spoil_signatures(unsigned times) {
  pthread_mutex_lock(&mutex);
  spoil = times;
  pthread_mutex_unlock(&mutex);
}

static int control_saw_shared_session(void) {
  int seen;
  pthread_mutex_lock(&mutex);
  seen = shared_session;
  pthread_mutex_unlock(&mutex);
  return seen;
}

static unsigned control_sessions_seen(void) {
  unsigned seen;
  pthread_mutex_lock(&mutex);
  seen = sessions_seen;
  pthread_mutex_unlock(&mutex);
  return seen;
}

__attribute__((visibility("default"))) const struct proxy_control proxy_control = {
    control_reset,
    control_count,
    control_fail,
    control_lose_reply,
    control_add_token_flags,
    control_limit_sessions,
    control_lose_sessions,
    control_lose_sessions_at,
    control_break_until_initialize,
    control_override_attribute,
    control_lose_names,
    control_gather,
    control_spoil_signatures,
    control_saw_shared_session,
    control_sessions_seen,
};

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  CK_C_GetFunctionList get_function_list;
  const char* path = getenv("COLOPHON_TEST_SOFTHSM");
  void* library;
  if (target == NULL) {
    library =
        dlopen(path != NULL ? path : "/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return CKR_GENERAL_ERROR;
    *(void**)&get_function_list = dlsym(library, "C_GetFunctionList");
    if (get_function_list == NULL || get_function_list(&target) != CKR_OK) {
      return CKR_GENERAL_ERROR;
    }
  }
  ours = *target;
  ours.C_Initialize = proxy_initialize;
  ours.C_Finalize = proxy_finalize;
  ours.C_GetFunctionList = C_GetFunctionList;
  ours.C_GetSlotList = proxy_get_slot_list;
  ours.C_GetTokenInfo = proxy_get_token_info;
  ours.C_GetMechanismInfo = proxy_get_mechanism_info;
  ours.C_OpenSession = proxy_open_session;
  ours.C_CloseSession = proxy_close_session;
  ours.C_Login = proxy_login;
  ours.C_FindObjectsInit = proxy_find_objects_init;
  ours.C_GetAttributeValue = proxy_get_attribute_value;
  ours.C_SetAttributeValue = proxy_set_attribute_value;
  ours.C_GenerateKeyPair = proxy_generate_key_pair;
  ours.C_DestroyObject = proxy_destroy_object;
  ours.C_SignInit = proxy_sign_init;
  ours.C_Sign = proxy_sign;
  *list = &ours;
  return CKR_OK;
}
