#!/bin/sh
# The postgres image runs this once, when its volume is new: roles, then the database they own.
set -eu
psql --username postgres --set ON_ERROR_STOP=1 --file /roles.sql \
    --set owner_password="$OWNER_PASSWORD" --set app_password="$APP_PASSWORD"
createdb --username postgres --owner crm_owner crm
