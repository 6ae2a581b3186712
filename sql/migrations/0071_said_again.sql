-- A consent that ends soon is said again by her mailbox: the link of a newsletter asks for a mail to
-- her, because a newsletter is passed on, and only what comes back from that mail counts.
ALTER TABLE crm.signup ADD COLUMN again boolean NOT NULL DEFAULT false;

-- So nothing makes a proof of a mail that was sent to everybody any more. What was proved by one
-- stays on record as what it was.
DROP FUNCTION crm.prove_renewal(uuid, uuid, uuid, uuid, timestamptz, timestamptz);

REVOKE SELECT ON crm.delivery FROM crm_prover;

ALTER POLICY of_business ON crm.delivery TO crm_app, crm_eraser;
