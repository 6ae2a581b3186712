"""What somebody writes who wants nothing but to leave, in the languages that customers write.

Only whole texts count. A sentence that has one of these words among others says something else.
"""

import re
import unicodedata

_LEAVE = """
unsubscribe|unsubscribe me|please unsubscribe|unsubscribe me please|unsubscribe please
please unsubscribe me|remove|remove me|remove me please|please remove me
remove me from your list|remove me from this list|remove me from the list
remove me from your mailing list|remove me from this mailing list|take me off your list
take me off this list|please remove me from your list|please remove me from this list
please remove me from your mailing list|please take me off your list
unsubscribe me from this list|please unsubscribe me from this list
unsubscribe me from this newsletter|please unsubscribe me from this newsletter
unsubscribe from this list|unsubscribe from this newsletter|unsubscribe newsletter|opt out
opt me out|stop|stop it|please stop|stop please|stop emailing me|stop mailing me
please stop emailing me|stop sending me emails|stop sending me mail|no more emails
no more emails please|no more mail|cancel subscription|cancel my subscription
cancel my newsletter subscription|i want to unsubscribe|i would like to unsubscribe
i d like to unsubscribe|i wish to unsubscribe|i wish to be unsubscribed|stopall|stop all
abmelden|bitte abmelden|abmeldung|newsletter abmelden|newsletter abbestellen|abbestellen
bitte abbestellen|austragen|bitte austragen|kündigen|newsletter kündigen|abo kündigen
ich möchte mich abmelden|ich möchte mich vom newsletter abmelden
ich möchte den newsletter abbestellen|bitte melden sie mich ab|melden sie mich ab
bitte melden sie mich vom newsletter ab|bitte vom newsletter abmelden
hiermit melde ich mich ab|hiermit melde ich mich vom newsletter ab
bitte nehmen sie mich aus dem verteiler|bitte keine mails mehr|bitte keine e mails mehr
keine mails mehr|bitte keinen newsletter mehr|keine werbung mehr|bitte streichen sie mich
désabonner|désabonnement|désinscription|désinscrire|se désabonner|me désabonner
désabonnez moi|veuillez me désabonner|veuillez me désinscrire|merci de me désabonner
merci de me désinscrire|désinscrivez moi|je souhaite me désabonner|je veux me désabonner
je souhaite me désinscrire|arrêter|arrêt|stop pub|darse de baja|dar de baja|darme de baja
baja|quiero darme de baja|deseo darme de baja|cancelar suscripción|cancelar la suscripción
cancelar mi suscripción|por favor darme de baja|denme de baja|por favor denme de baja
desuscribir|desuscribirme|anular suscripción|cancellami|cancellatemi|cancellazione
cancella iscrizione|annulla iscrizione|disiscrivimi|disiscrivetemi|disiscrizione
disiscrivermi|vorrei cancellarmi|voglio cancellarmi|cancellare iscrizione|rimuovimi
rimuovetemi|cancellatemi per favore|uitschrijven|afmelden|graag afmelden|graag uitschrijven
uitschrijven aub|afmelden aub|afmelden nieuwsbrief|uitschrijven nieuwsbrief
ik wil me afmelden|ik wil mij afmelden|ik wil me uitschrijven|schrijf mij uit|schrijf me uit
meld mij af|stoppen|cancelar inscrição|cancelar assinatura|cancelar subscrição|descadastrar
descadastre me|remover|remova me|quero cancelar a inscrição|quero cancelar|cancelar
remover da lista|anular subscrição|desinscrever|por favor cancelar|wypisz|wypisz mnie
proszę mnie wypisać|proszę o wypisanie|wypisać|rezygnuję|rezygnacja|anuluj subskrypcję
proszę o usunięcie z listy|wypisuję się|chcę się wypisać|إلغاء الاشتراك|الغاء الاشتراك
إلغاء اشتراك|إلغاء اشتراكي|ألغوا اشتراكي|أوقفوا|توقف|أرجو إلغاء الاشتراك|أرجو إلغاء اشتراكي
يرجى إلغاء الاشتراك|يرجى إلغاء اشتراكي|avprenumerera|avregistrera|avregistrera mig
avsluta prenumeration|avmeld|afmeld|frameld|meld meg av|afmeld mig|peruuta tilaus
poista minut listalta|odhlásit|odhlásit odběr|odhlaste mě|leiratkozás|leiratkozom
kérem töröljenek|dezabonare|dezabonați mă|odjava|отписаться|отпишите меня|отписка
відписатися|відписка|отказ от рассылки|стоп|abonelikten çık|üyelikten çık|listeden çıkar
登録解除|配信停止|購読解除|退订|取消订阅|退訂|הסר|הסירו אותי|לבטל מנוי|κατάργηση εγγραφής|διαγραφή
"""

_COURTESY = """
please pls plz thanks thank you thx hi hello dear sir madam team regards best kind bitte
danke hallo guten tag vielen dank mfg viele grüße liebe freundliche freundlichen grüßen mit
merci bonjour svp cordialement gracias hola saludos por favor grazie ciao saluti bedankt
groeten met vriendelijke groet obrigado obrigada olá dziękuję proszę pozdrawiam شكرا tack
tak kiitos
"""

_LONGEST_NAME = 3


def _fold(text: str) -> str:
    """Letters and digits of any script, in lower case, each run of others one blank."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", plain))


_PHRASES = frozenset(folded for one in re.split(r"[|\n]", _LEAVE) if (folded := _fold(one)))
_POLITE = frozenset(_fold(word) for word in _COURTESY.split())
_LONGEST_TEXT = 400


def only_to_leave(words: str) -> bool:
    """True where these words, but for courtesies and a name below them, ask to leave."""
    words = words.strip()
    if len(words) > _LONGEST_TEXT:
        return False
    lines = [folded for line in words.splitlines() if (folded := _fold(line))]
    said = [line for line in lines if not all(word in _POLITE for word in line.split())]
    if _is_phrase(" ".join(said)):
        return True
    # A name below it, on a line of its own, is a signature that lacks its mark.
    signed = len(said) > 1 and _is_name(words.splitlines()[-1])
    return signed and _is_phrase(" ".join(said[:-1]))


def _is_phrase(folded: str) -> bool:
    words = folded.split()
    for end in (-1, 0):
        while words and " ".join(words) not in _PHRASES and words[end] in _POLITE:
            words.pop(end)
    return " ".join(words) in _PHRASES


def _is_name(line: str) -> bool:
    words = line.split()
    return 0 < len(words) <= _LONGEST_NAME and all(
        word[0].isupper() and word.replace("-", "").replace("'", "").rstrip(".,").isalpha()
        for word in words
    )
