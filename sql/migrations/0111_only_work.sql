-- What is asked above all businesses every few seconds reads the work there is, and not what is over:
-- campaigns, checks of values and imports stay for good.
CREATE INDEX campaign_at_work ON crm.campaign (state, business_id, campaign_id)
  INCLUDE (scheduled_at) WHERE state IN ('scheduled', 'starting', 'sending');

CREATE INDEX value_check_walking ON crm.value_check (beat_at) WHERE state = 'walking';

CREATE INDEX import_to_work ON crm.import (state, beat_at)
  INCLUDE (created_at) WHERE state IN ('waiting', 'running', 'tried');

CREATE INDEX import_to_undo ON crm.import (business_id, import_id) WHERE state = 'undoing';
