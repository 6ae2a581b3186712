-- The roles that own functions create nothing from here on; a later migration grants anew.

REVOKE CREATE ON SCHEMA crm FROM crm_sweep, crm_eraser;
