// SPDX-License-Identifier: MIT
// A serial number for a node whose camera has none of its own: DeviceSerialNumber, by which clients
// find a node among others ("id:NAME"). It stays the same across reboots and changes of the camera.
#ifndef PINHOLE_APP_SERIAL_H
#define PINHOLE_APP_SERIAL_H

#include "hal/base.h"

#define SERIAL_BYTES 64

/** Writes the first of these that the system below `root` ("" for the machine itself) has:
 *   - the board's serial number, /proc/device-tree/serial-number, unless it is all zeros;
 *   - 16 hexadecimal digits made from /etc/machine-id. The id itself is to be kept off the network
 *     (machine-id(5)); half of its 128 bits are gone in the digits;
 *   - `name`. */
void serial_find(const char *root, const char *name, char out[SERIAL_BYTES]);

#endif
