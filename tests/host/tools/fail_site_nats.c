// SPDX-License-Identifier: MIT
// What the relay calls beside what fail_site.c wraps: libnats.
#include "tests/host/support/fail_site.h"

#include <nats/nats.h>
#include <sys/eventfd.h>

// clang-format off
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, -1)
WRAP(natsStatus, natsOptions_Create, (natsOptions **out), (out), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsOptions_SetServers, (natsOptions *options, const char **list, int count), (options, list, count), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsConnection_Connect, (natsConnection **out, natsOptions *options), (out, options), EIO, NATS_NO_SERVER)
WRAP(natsStatus, natsConnection_JetStream, (jsCtx **out, natsConnection *nc, jsOptions *options), (out, nc, options), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsConnection_Subscribe, (natsSubscription **out, natsConnection *nc, const char *subject, natsMsgHandler handler, void *user), (out, nc, subject, handler, user), EIO, NATS_CONNECTION_CLOSED)
WRAP(natsStatus, natsConnection_SubscribeSync, (natsSubscription **out, natsConnection *nc, const char *subject), (out, nc, subject), EIO, NATS_CONNECTION_CLOSED)
WRAP(natsStatus, natsConnection_PublishMsg, (natsConnection *nc, natsMsg *message), (nc, message), EIO, NATS_IO_ERROR)
WRAP(natsStatus, natsConnection_PublishRequestString, (natsConnection *nc, const char *subject, const char *reply, const char *text), (nc, subject, reply, text), EIO, NATS_IO_ERROR)
WRAP(natsStatus, natsConnection_PublishString, (natsConnection *nc, const char *subject, const char *text), (nc, subject, text), EIO, NATS_IO_ERROR)
WRAP(natsStatus, natsInbox_Create, (natsInbox **out), (out), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsMsg_Create, (natsMsg **out, const char *subject, const char *reply, const char *data, int bytes), (out, subject, reply, data, bytes), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsMsgHeader_Set, (natsMsg *message, const char *key, const char *value), (message, key, value), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsMsgHeader_Get, (natsMsg *message, const char *key, const char **value), (message, key, value), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsMsg_GetMetaData, (jsMsgMetaData **out, natsMsg *message), (out, message), ENOMEM, NATS_NO_MEMORY)
WRAP(natsStatus, natsSubscription_NextMsg, (natsMsg **out, natsSubscription *subscription, int64_t ms), (out, subscription, ms), EIO, NATS_CONNECTION_CLOSED)
WRAP(natsStatus, js_AddStream, (jsStreamInfo **out, jsCtx *js, jsStreamConfig *config, jsOptions *options, jsErrCode *code), (out, js, config, options, code), EIO, NATS_TIMEOUT)
WRAP(natsStatus, js_GetLastMsg, (natsMsg **out, jsCtx *js, const char *stream, const char *subject, jsOptions *options, jsErrCode *code), (out, js, stream, subject, options, code), EIO, NATS_TIMEOUT)
WRAP(natsStatus, js_GetStreamInfo, (jsStreamInfo **out, jsCtx *js, const char *stream, jsOptions *options, jsErrCode *code), (out, js, stream, options, code), EIO, NATS_TIMEOUT)
WRAP(natsStatus, js_SubscribeSync, (natsSubscription **out, jsCtx *js, const char *subject, jsOptions *options, jsSubOptions *how, jsErrCode *code), (out, js, subject, options, how, code), EIO, NATS_TIMEOUT)
// clang-format on
