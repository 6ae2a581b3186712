-- One question to the readers of a campaign, answered without saying who they are.
ALTER TABLE crm.campaign
  ADD COLUMN question text NOT NULL DEFAULT '' CHECK (length(question) <= 300),
  ADD COLUMN answers text[] NOT NULL DEFAULT '{}' CHECK (cardinality(answers) <= 5),
  ADD CONSTRAINT campaign_question_with_answers CHECK (
    (question = '') = (cardinality(answers) = 0) AND cardinality(answers) <> 1);

-- How often each answer was given: numbers, and no trace of who gave one.
CREATE TABLE crm.poll_count (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- The place of the answer in `answers`, from 1.
  answer      smallint NOT NULL CHECK (answer BETWEEN 1 AND 5),
  given       bigint NOT NULL CHECK (given > 0),
  PRIMARY KEY (business_id, campaign_id, answer),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id)
);

SELECT crm.place('crm.poll_count');

SELECT crm.keep_apart('crm.poll_count');

GRANT SELECT, INSERT, UPDATE ON crm.poll_count TO crm_app;
