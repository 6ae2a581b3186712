-- The five roles of Firsthand, made once per PostgreSQL server by an administrator:
--   psql -v owner_password=… -v app_password=… -f roles.sql
-- then: createdb --owner crm_owner crm
-- crm_owner runs migrations, crm_app serves; the other three own a few functions and cannot log
-- in. One that was made before crm_prover needs that role, and the GRANT, before it is migrated.
-- None is a superuser and none bypasses row-level security: the service refuses to start as one.

CREATE ROLE crm_owner LOGIN PASSWORD :'owner_password'
  NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
CREATE ROLE crm_app LOGIN PASSWORD :'app_password'
  NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
CREATE ROLE crm_sweep NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE crm_eraser NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE crm_prover NOLOGIN NOSUPERUSER NOBYPASSRLS;

-- So that a migration can hand a function over to its role.
GRANT crm_sweep, crm_eraser, crm_prover TO crm_owner;
