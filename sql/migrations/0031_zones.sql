-- Where customers' clocks stand, and campaigns that go by them.

-- An IANA name; empty: that of the business.
ALTER TABLE crm.customer
  ADD COLUMN time_zone text NOT NULL DEFAULT '' CHECK (length(time_zone) <= 64);

-- The hours of a customer's day in which campaigns are mailed; 0 to 24 is any.
ALTER TABLE crm.business
  ADD COLUMN mails_from smallint NOT NULL DEFAULT 0 CHECK (mails_from BETWEEN 0 AND 23),
  ADD COLUMN mails_until smallint NOT NULL DEFAULT 24 CHECK (mails_until BETWEEN 1 AND 24),
  ADD CONSTRAINT business_mails_by_day CHECK (mails_from < mails_until);

-- The time by each customer's own clock at which it goes; null: at once when it has started.
ALTER TABLE crm.campaign
  ADD COLUMN local_at timestamp;

-- Whose clocks there are, for the first and the last of them.
CREATE INDEX customer_by_zone ON crm.customer (business_id, time_zone) WHERE time_zone <> '';
