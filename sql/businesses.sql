-- Every statement of crm/businesses. Owns: business, host, theme, logo.

-- name: business
-- The business of this transaction.
SELECT business_id AS id, name, legal_name, postal_address, sender_name, sender_address,
       privacy_contact, return_domain, locale, time_zone, origin, country, officer,
       representative, authority, authority_url, authority_address, privacy_url,
       soft_opt_in, keeps_network,
       network_days, image_hosts, canary, mails_from,
       mails_until, mail_days, names_staff, dormant_months, version, created_at,
       coalesce((SELECT concat_ws(' ', t.band, t.band_dark, t.link, t.link_dark)
                   FROM crm.theme t WHERE t.business_id = :business_id), '') AS colours,
       coalesce((SELECT l.mark || substr(l.name, 5)
                   FROM crm.logo l WHERE l.business_id = :business_id), '') AS logo
  FROM crm.business
 WHERE business_id = :business_id;

-- name: add_business
-- A new business under the id the transaction was opened for.
INSERT INTO crm.business (business_id, name, legal_name, postal_address, sender_name,
                          sender_address, privacy_contact, return_domain, locale, time_zone, origin,
                          country, officer, representative, authority, authority_url,
                          authority_address, privacy_url,
                          soft_opt_in, keeps_network, network_days, image_hosts, canary, mails_from,
       mails_until, mail_days, names_staff, dormant_months, created_at,
                          changed_at)
VALUES (:business_id, :name, :legal_name, :postal_address, :sender_name, :sender_address,
        :privacy_contact, :return_domain, :locale, :time_zone, :origin, :country, :officer,
        :representative, :authority, :authority_url, :authority_address, :privacy_url,
        :soft_opt_in, :keeps_network,
        :network_days, :image_hosts, :canary, :mails_from, :mails_until, :mail_days,
        :names_staff, :dormant_months, :now, :now)
RETURNING business_id AS id, name, legal_name, postal_address, sender_name, sender_address,
          privacy_contact, return_domain, locale, time_zone, origin, country, officer,
          representative, authority, authority_url, authority_address, privacy_url,
       soft_opt_in, keeps_network,
          network_days, image_hosts, canary, mails_from,
       mails_until, mail_days, names_staff, dormant_months, version, created_at,
       coalesce((SELECT concat_ws(' ', t.band, t.band_dark, t.link, t.link_dark)
                   FROM crm.theme t WHERE t.business_id = :business_id), '') AS colours,
       coalesce((SELECT l.mark || substr(l.name, 5)
                   FROM crm.logo l WHERE l.business_id = :business_id), '') AS logo;

-- name: change_business
-- What is known of the business, replaced as a whole; no row where somebody was faster.
UPDATE crm.business
   SET name = :name, legal_name = :legal_name, postal_address = :postal_address,
       sender_name = :sender_name, sender_address = :sender_address,
       privacy_contact = :privacy_contact, return_domain = :return_domain,
       locale = :locale, time_zone = :time_zone, origin = :origin, country = :country,
       officer = :officer, representative = :representative, authority = :authority,
       authority_url = :authority_url,
       authority_address = :authority_address, privacy_url = :privacy_url,
       soft_opt_in = :soft_opt_in,
       keeps_network = :keeps_network, network_days = :network_days,
       image_hosts = :image_hosts, canary = :canary, mails_from = :mails_from,
       mails_until = :mails_until, mail_days = :mail_days, names_staff = :names_staff,
       dormant_months = :dormant_months, version = version + 1,
       changed_at = :now
 WHERE business_id = :business_id
   AND (:expected::integer IS NULL OR version = :expected)
RETURNING business_id AS id, name, legal_name, postal_address, sender_name, sender_address,
          privacy_contact, return_domain, locale, time_zone, origin, country, officer,
          representative, authority, authority_url, authority_address, privacy_url,
       soft_opt_in, keeps_network,
          network_days, image_hosts, canary, mails_from,
       mails_until, mail_days, names_staff, dormant_months, version, created_at,
       coalesce((SELECT concat_ws(' ', t.band, t.band_dark, t.link, t.link_dark)
                   FROM crm.theme t WHERE t.business_id = :business_id), '') AS colours,
       coalesce((SELECT l.mark || substr(l.name, 5)
                   FROM crm.logo l WHERE l.business_id = :business_id), '') AS logo;

-- name: pause_what_rests_on_sales
-- Campaigns under way to customers who were told at a sale; which they are.
SELECT crm.pause_what_rests_on_sales(:business_id, :why, :now);

-- name: add_host
-- The business answers on this host; no row where the host is taken.
INSERT INTO crm.host (host, business_id)
VALUES (:host, :business_id)
ON CONFLICT (host) DO NOTHING
RETURNING business_id;

-- name: own_host
-- The host, if this business already answers on it.
SELECT host FROM crm.host WHERE business_id = :business_id AND host = :host;

-- name: hosts
-- Where its pages and the links of its mails answer.
SELECT host FROM crm.host WHERE business_id = :business_id ORDER BY host;

-- name: theme
-- How pages and newsletters of the business look, where staff chose.
SELECT band, band_dark, link, link_dark, face, corner, foot
  FROM crm.theme
 WHERE business_id = :business_id;

-- name: change_theme
-- From the next page and the next message that is compiled.
INSERT INTO crm.theme AS t (business_id, band, band_dark, link, link_dark, face, corner, foot,
                                 changed_at)
VALUES (:business_id, :band, :band_dark, :link, :link_dark, :face, :corner, :foot, :now)
ON CONFLICT (business_id) DO UPDATE
   SET band = excluded.band, band_dark = excluded.band_dark, link = excluded.link,
       link_dark = excluded.link_dark, face = excluded.face, corner = excluded.corner,
       foot = excluded.foot, changed_at = :now;

-- name: logo
-- The picture on the band of pages and newsletters, where there is one.
SELECT name, media_type, content
  FROM crm.logo
 WHERE business_id = :business_id;

-- name: put_logo
-- From the next page and the next message that is compiled.
INSERT INTO crm.logo AS l (business_id, name, media_type, content, changed_at)
VALUES (:business_id, :name, :media_type, :content, :now)
ON CONFLICT (business_id) DO UPDATE
   SET name = excluded.name, media_type = excluded.media_type, content = excluded.content,
       changed_at = :now;

-- name: drop_logo
-- The name stands there again.
DELETE FROM crm.logo
 WHERE business_id = :business_id;
