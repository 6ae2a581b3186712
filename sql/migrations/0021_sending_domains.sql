-- Whose domain a mail says it comes from, and where it comes back to.

-- Where mail that cannot be delivered comes back (RFC 5321 §2.3.3): each delivery has an address
-- of its own there. Empty where mail returns to the sender's address.
ALTER TABLE crm.business
  ADD COLUMN return_domain text NOT NULL DEFAULT '' CHECK (
    length(return_domain) <= 180
    AND return_domain ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+)?$');
