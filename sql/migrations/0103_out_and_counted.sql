-- Nobody can have heeded what was never sent to him: that a post was handed out is known before it
-- goes, and only then, or where it was told, an acknowledgement of it is a proof.

-- When it first went out, where an acknowledgement is asked for; also while nothing came back yet.
ALTER TABLE crm.post ADD COLUMN out_at timestamptz;

-- The owner sees the rows meanwhile.
ALTER TABLE crm.post NO FORCE ROW LEVEL SECURITY;

UPDATE crm.post SET out_at = begun_at WHERE asks AND begun_at IS NOT NULL;

ALTER TABLE crm.post FORCE ROW LEVEL SECURITY;

-- How many addresses she had, of all her records: one that two of them had has one fingerprint. Of
-- an erasure from before, nothing.
ALTER TABLE crm.erasure ADD COLUMN addresses integer CHECK (addresses > 0);
