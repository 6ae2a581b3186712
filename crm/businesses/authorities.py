"""The authorities that watch over data protection in the EU, the EEA and the United Kingdom.

From the list of members of the European Data Protection Board and the sites that it leads to; in
Germany those of the Länder, which watch over businesses there; and the Information Commissioner.
Each name is as the authority writes it.
"""

from __future__ import annotations

from msgspec import Struct


class Authority(Struct, frozen=True):
    """Whom customers can complain to: by its code here, in a country (ISO 3166-1)."""

    code: str
    name: str
    url: str

    @property
    def country(self) -> str:
        """The country that it watches over, or a part of."""
        return self.code[:2]


_GERMAN_STATES = (
    Authority("DE-BW", "LfDI Baden-Württemberg", "https://www.baden-wuerttemberg.datenschutz.de/"),
    Authority(
        "DE-BY", "Bayerisches Landesamt für Datenschutzaufsicht", "https://www.lda.bayern.de/"
    ),
    Authority(
        "DE-BE",
        "Berliner Beauftragte für Datenschutz und Informationsfreiheit",
        "https://www.datenschutz-berlin.de/",
    ),
    Authority("DE-BB", "LDA Brandenburg", "https://www.lda.brandenburg.de/"),
    Authority("DE-HB", "LfDI Bremen", "https://www.datenschutz.bremen.de/"),
    Authority(
        "DE-HH",
        "Der Hamburgische Beauftragte für Datenschutz und Informationsfreiheit",
        "https://datenschutz-hamburg.de/",
    ),
    Authority(
        "DE-HE",
        "Der Hessische Beauftragte für Datenschutz und Informationsfreiheit",
        "https://datenschutz.hessen.de/",
    ),
    Authority("DE-MV", "LfDI Mecklenburg-Vorpommern", "https://www.datenschutz-mv.de/"),
    Authority("DE-NI", "LfD Niedersachsen", "https://www.lfd.niedersachsen.de/"),
    Authority("DE-NW", "LDI Nordrhein-Westfalen", "https://www.ldi.nrw.de/"),
    Authority("DE-RP", "LfDI Rheinland-Pfalz", "https://www.datenschutz.rlp.de/"),
    Authority(
        "DE-SL", "Unabhängiges Datenschutzzentrum Saarland", "https://www.datenschutz.saarland.de/"
    ),
    Authority(
        "DE-SN",
        "Sächsische Datenschutz- und Transparenzbeauftragte",
        "https://www.datenschutz.sachsen.de/",
    ),
    Authority("DE-ST", "LfD Sachsen-Anhalt", "https://datenschutz.sachsen-anhalt.de/"),
    Authority(
        "DE-SH",
        "Unabhängiges Landeszentrum für Datenschutz Schleswig-Holstein",
        "https://www.datenschutzzentrum.de/",
    ),
    Authority("DE-TH", "TLfDI Thüringen", "https://www.tlfdi.de/"),
)

AUTHORITIES = (
    Authority("AT", "Österreichische Datenschutzbehörde", "https://www.dsb.gv.at/"),
    Authority(
        "BE",
        "Gegevensbeschermingsautoriteit / Autorité de protection des données",
        "https://www.dataprotectionauthority.be/",
    ),
    Authority("BG", "Комисия за защита на личните данни", "https://www.cpdp.bg/"),
    Authority(
        "CY", "Commissioner for Personal Data Protection", "https://www.dataprotection.gov.cy/"
    ),
    Authority("CZ", "Úřad pro ochranu osobních údajů", "https://uoou.gov.cz/"),
    *_GERMAN_STATES,
    Authority("DK", "Datatilsynet", "https://www.datatilsynet.dk/"),
    Authority("EE", "Andmekaitse Inspektsioon", "https://www.aki.ee/"),
    Authority("ES", "Agencia Española de Protección de Datos", "https://www.aepd.es/"),
    Authority("FI", "Tietosuojavaltuutetun toimisto", "https://tietosuoja.fi/"),
    Authority(
        "FR", "Commission nationale de l’informatique et des libertés", "https://www.cnil.fr/"
    ),
    Authority("GB", "Information Commissioner’s Office", "https://ico.org.uk/"),
    Authority("GR", "Αρχή Προστασίας Δεδομένων Προσωπικού Χαρακτήρα", "https://www.dpa.gr/"),
    Authority("HR", "Agencija za zaštitu osobnih podataka", "https://azop.hr/"),
    Authority("HU", "Nemzeti Adatvédelmi és Információszabadság Hatóság", "https://www.naih.hu/"),
    Authority("IE", "Data Protection Commission", "https://www.dataprotection.ie/"),
    Authority("IS", "Persónuvernd", "https://www.personuvernd.is/"),
    Authority(
        "IT", "Garante per la protezione dei dati personali", "https://www.garanteprivacy.it/"
    ),
    Authority("LI", "Datenschutzstelle Liechtenstein", "https://www.datenschutzstelle.li/"),
    Authority("LT", "Valstybinė duomenų apsaugos inspekcija", "https://vdai.lrv.lt/"),
    Authority(
        "LU", "Commission nationale pour la protection des données", "https://cnpd.public.lu/"
    ),
    Authority("LV", "Datu valsts inspekcija", "https://www.dvi.gov.lv/"),
    Authority("MT", "Information and Data Protection Commissioner", "https://idpc.org.mt/"),
    Authority("NL", "Autoriteit Persoonsgegevens", "https://www.autoriteitpersoonsgegevens.nl/"),
    Authority("NO", "Datatilsynet", "https://www.datatilsynet.no/"),
    Authority("PL", "Urząd Ochrony Danych Osobowych", "https://uodo.gov.pl/"),
    Authority("PT", "Comissão Nacional de Proteção de Dados", "https://www.cnpd.pt/"),
    Authority(
        "RO",
        "Autoritatea Națională de Supraveghere a Prelucrării Datelor cu Caracter Personal",
        "https://www.dataprotection.ro/",
    ),
    Authority("SE", "Integritetsskyddsmyndigheten", "https://www.imy.se/"),
    Authority("SI", "Informacijski pooblaščenec", "https://www.ip-rs.si/"),
    Authority("SK", "Úrad na ochranu osobných údajov", "https://dataprotection.gov.sk/"),
)


def likely(country: str) -> str:
    """Return the code of the only authority of a country; nothing where there is a choice."""
    found = [each.code for each in AUTHORITIES if each.country == country]
    return found[0] if len(found) == 1 else ""
