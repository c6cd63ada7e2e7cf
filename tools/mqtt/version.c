// SPDX-License-Identifier: MIT
#include "tools/mqtt/version.h"

int mqtt_version_next(const struct mqtt_version *version)
{
    return version->state == MQTT_TRY_311 || version->state == MQTT_KEEP_311 ? 3 : 5;
}

static bool note_5(struct mqtt_version *version, enum mqtt_attempt attempt)
{
    switch (attempt) {
    case MQTT_ACCEPTED:
    case MQTT_REFUSED: version->state = MQTT_KEEP_5; break;
    case MQTT_NO_VERSION: version->state = MQTT_KEEP_311; break;
    case MQTT_NO_CONNACK:
        version->state = version->state == MQTT_CONFIRM_5 ? MQTT_KEEP_311 : MQTT_TRY_311;
        break;
    case MQTT_UNREACHABLE: break;
    }
    return false;
}

static bool note_311(struct mqtt_version *version, enum mqtt_attempt attempt)
{
    switch (attempt) {
    case MQTT_ACCEPTED: version->state = MQTT_CONFIRM_5; return true;
    case MQTT_REFUSED: version->state = MQTT_CONFIRM_5; break;
    case MQTT_NO_CONNACK:
    case MQTT_NO_VERSION: version->state = MQTT_TRY_5; break;
    case MQTT_UNREACHABLE: break;
    }
    return false;
}

bool mqtt_version_note(struct mqtt_version *version, int spoken, enum mqtt_attempt attempt)
{
    // Nodes share what they learn: an attempt may have begun before another one settled it.
    if (version->state == MQTT_KEEP_5 || version->state == MQTT_KEEP_311 ||
        spoken != mqtt_version_next(version))
        return false;
    return spoken == 5 ? note_5(version, attempt) : note_311(version, attempt);
}
