#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes this machine's SSH host key on the data partition, if there is none yet.
set -eu
key=/data/ssh/ssh_host_ed25519_key
[ ! -s $key ] || exit 0
rm -f $key.new $key.new.pub
ssh-keygen -q -t ed25519 -N '' -C '' -f $key.new
# The folder's name for it comes last, so that a power cut leaves a whole key or none.
sync -f $key.new
mv $key.new $key
sync -f $key
