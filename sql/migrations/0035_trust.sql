-- What a business does with the consent it is given, in numbers for everybody.

-- Counted once an hour, so that a public page costs nothing; sums only, which name nobody.
CREATE TABLE crm.trust_figures (
  business_id uuid PRIMARY KEY REFERENCES crm.business (business_id),
  counted_at  timestamptz NOT NULL,
  -- Mails of each of the last twelve months, the oldest first: [{"month": "2026-11", "mails": 3}].
  months      jsonb NOT NULL CHECK (jsonb_typeof(months) = 'array'),
  -- In the last 90 days: campaigns, readers of the largest, mails, who left, who complained.
  campaigns   integer NOT NULL CHECK (campaigns >= 0),
  readers     bigint NOT NULL CHECK (readers >= 0),
  mails       bigint NOT NULL CHECK (mails >= 0),
  withdrawals bigint NOT NULL CHECK (withdrawals >= 0),
  complaints  bigint NOT NULL CHECK (complaints >= 0),
  -- Seconds from a withdrawal to the end of a hand-over that was under way, and how many were.
  lag_median  double precision NOT NULL CHECK (lag_median >= 0),
  lag_p99     double precision NOT NULL CHECK (lag_p99 >= lag_median),
  on_the_way  bigint NOT NULL CHECK (on_the_way BETWEEN 0 AND withdrawals)
);

SELECT crm.place('crm.trust_figures');

SELECT crm.keep_apart('crm.trust_figures');

GRANT SELECT, INSERT, UPDATE ON crm.trust_figures TO crm_app;
