"""What languages look like: their scripts, their most frequent small words, letters that others do not use."""

from collections.abc import Mapping
from types import MappingProxyType

SCRIPTS: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
        "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
        "cyrillic": ((0x400, 0x52F),),
        "hebrew": ((0x590, 0x5FF),),
        "arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
        "devanagari": ((0x900, 0x97F),),
        "bengali": ((0x980, 0x9FF),),
        "gurmukhi": ((0xA00, 0xA7F),),
        "gujarati": ((0xA80, 0xAFF),),
        "tamil": ((0xB80, 0xBFF),),
        "telugu": ((0xC00, 0xC7F),),
        "kannada": ((0xC80, 0xCFF),),
        "malayalam": ((0xD00, 0xD7F),),
        "thai": ((0xE00, 0xE7F),),
        "kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF)),
        "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),
        "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    }
)
"""Code points, both ends included."""

ALONE: Mapping[str, str] = MappingProxyType({
    "greek": "el", "hebrew": "he", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "tamil": "ta", "telugu": "te",
    "kannada": "kn", "malayalam": "ml", "thai": "th", "kana": "ja", "han": "zh", "hangul": "ko",
})  # fmt: skip
"""Scripts that tell the language: kana, even beside many Han signs, is Japanese."""

_LATIN = {
    "en": "the of and to a in is it you that he was for on are with as his they at be this have from or had by but "
    "not what all were we when your can said there use an each which she do how their if will up other about out "
    "many then them these so some her would make like him into has more its am who did get may my no than been i me "
    "just don't i'm it's our us very because could should",
    "es": "el la de que y a en un ser se no haber por con su para como estar tener le lo todo pero más hacer o poder "
    "este ir otro ese si me ya ver porque dar cuando él muy sin vez mucho saber qué sobre mi alguno mismo yo también "
    "hasta los las una del al es son está están fue era hay nos entre desde nuestro esta ha donde ser cada",
    "pt": "o a de que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu "
    "sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter "
    "seus quem nas me esse eles estão você tinha foram essa num nem suas meu às minha são pode cada",
    "fr": "le la les de des du un une et à il elle est en que qui dans ce pour pas au sur se ne plus par je avec tout "
    "faire son mettre autre on mais nous comme ou si leur y dire avoir être vous cette ces sont ont été aux même bien "
    "où sans peut fait très aussi d l c qu n s j cela entre après mon ma mes votre notre",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis "
    "mehr durch man ich wir ihr dieser diese kann ihre wenn unser sehr gibt mein einfach alle",
    "it": "il di che e la a un in non è per una sono mi si ho lo ha le ti con cosa se io come da ci no questo qui hai "
    "sei del bene tu sì me più al mio perché lei solo era gli tutto della suo così anche ma dei o nel alla dalla delle "
    "degli nella molto essere questa quando loro tra sua ai dal i noi può ogni",
    "nl": "de het een en van ik te dat die in is niet op zijn je met voor aan er maar om hem dan zou of wat mijn men "
    "dit zo door over ze zich bij ook tot mij uit der daar haar naar heb hoe heeft hebben deze u want nog zal me zij "
    "nu geen omdat iets worden toch al waren veel meer doen moet zonder kan hun we wij onze wordt",
    "sv": "och i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så kan man "
    "när år säger hon under också efter eller nu sin där vid mot ska skulle kommer ut får finns vara hade alla andra "
    "mycket än här då sedan över bara in blir upp även vad du mig oss dem min våra",
    "da": "og i at det som en på er af for med til den har de ikke om et han men var jeg sig fra vi så kan man når år "
    "siger hun under også efter eller nu sin der ved mod skal ville kommer ud får findes være havde alle andre meget "
    "end her da siden over kun ind bliver op hvad du mig os dem min vores hvor blev noget",
    "pl": "i w na z że się do nie to jest o jak za od po co ale tak przez jego być dla ma tego który jej czy już są "
    "było ze tym może by go jeszcze tylko oraz ich był która które gdy bardzo także mi przed ten ja my pan nas można "
    "też aby lub więc każdy ta te bo tu nam kiedy",
    "cs": "a se v na je že o s z do i to k ve pro za by ale si po jako podle od jsem tak jeho které který jeho být "
    "jsou byl až bylo než nebo ze jak může její když jen už také má jejich před však co jsme mezi této aby při kde "
    "byla tento velmi nás není ještě která každý ten",
    "ro": "și de a în la cu o nu că pe se un este care mai din pentru să am fi ce sau au fost ca dar prin era al ei "
    "lui îi le dacă acest sunt când ale după fără până o această foarte doar cum noi tot fiecare poate unui unei",
    "hu": "a az és hogy nem is egy ez meg de csak azt már volt el mint ha van még ki aki kell vagy mert nagyon lehet "
    "minden most lesz ezt ami amely be fel volna neki össze szerint sok után nincs között több ezek így úgy mi én te",
    "fi": "ja on ei se että oli hän joka mutta ovat kun niin kuin myös tai vain jos olla sen mukaan ole sitä jo nyt "
    "voi minä sinä me te he mitä tämä ne olen siitä hänen kanssa sekä sitten ollut jotka vielä kaikki nämä joita hyvin "
    "mikä koska tässä siellä meidän olemme",
    "tr": "ve bir bu da de için ile çok daha en gibi kadar olarak ne olan sonra var ama o ki mi her şey ben sen biz "
    "değil veya ise yok kendi olduğu hem nasıl iyi zaman benim bana onun içinde bütün diye çünkü önce gün bizim olur",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena tersebut bisa ada mereka "
    "lebih kata tahun sudah atau saat oleh menjadi orang ia telah adalah seperti sebagai bahwa dapat para harus namun "
    "kita dua satu masih hari kami anda sangat kamu apa jika",
    "vi": "và của là có không được cho người trong với một các những này khi đã để ở từ về như cũng đến ra nhiều tôi "
    "vào đó anh lại còn hay năm phải nhưng bạn sẽ chúng ta họ rất nếu thì vì làm nhất theo bị cả nào mà trên",
    "sw": "na ya wa kwa ni la za katika kuwa cha hii kama watu yake vya pia lakini huo yao sana wakati hiyo ili kila "
    "au mimi wewe sisi yeye si moja hivyo tu baada mwaka ambao hakuna bado nchi mtu kutoka ambayo zaidi hata wengi "
    "pamoja wake alikuwa hapa wao kufanya kuna",
}

_CYRILLIC = {
    "ru": "и в не на я что с он как это по но а за к из у же от то все так его о для вы бы мы есть или она быть был "
    "если ещё еще когда только очень можно этот которые чтобы меня они где нет мой при этого также",
    "uk": "і в не на я що з він як це по але а за до у й та від то все так його про для ви би ми є або вона бути був "
    "якщо ще коли тільки дуже можна цей які щоб мене вони де немає мій при цього також із під",
    "bg": "и в не на аз че с той как това по но а за към от у се да то всички така го о вие бих ние е или тя беше ако "
    "още когато само много може този които който ме те къде няма при също със са ще във му като си",
}

_ARABIC = {
    "ar": "في من على إلى أن هذا هذه التي الذي كان مع لا ما هو هي عن أو ثم كل بعد قد لم و لكن إذا كما بين أنا نحن يمكن "
    "ذلك غير حتى يكون كانت",
    "fa": "در به از که این را با است برای آن یک بود تا می شود شد خود هم نیز بر ما من او آنها کرد دارد ها اما اگر همه "
    "باید یا هر چه بسیار کنید شما می‌شود هستند",
    "ur": "کے میں کی ہے اور سے کا کو اس نے پر ہیں کہ یہ بھی نہیں تھا کر ایک ہو تو وہ لیے جو گیا ہم آپ تھے ہوتا کیا "
    "اپنے تھی بہت ہوں رہا سکتا",
}

_DEVANAGARI = {
    "hi": "के है में की और से का को हैं एक यह पर नहीं ने भी कि तो इस हो कर था लिए जो वह या ही हम आप थे गया रहा मैं अपने "
    "बहुत साथ सकते होता",
    "mr": "आहे आणि या च्या ते हे मध्ये होते नाही हा की त्या एक तर व आहेत करून त्यांनी मी होता असे साठी येथे पण ही मला केले "
    "खूप आपण तो जे आपल्या करण्यासाठी",
    "ne": "छ र को मा हो पनि यो छन् गर्न लाई भएको एक थियो ले तर गरेको हुन्छ भने म उनले बाट हामी धेरै नेपाल हुन् सक्छ आफ्नो "
    "गर्ने छैन तपाईं साथै",
}

FAMILIES: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType({
    script: MappingProxyType({
        language: frozenset(word for word in words.split() if script != "latin" or len(word) > 1)
        for language, words in table.items()
    })
    for script, table in (
        ("latin", _LATIN), ("cyrillic", _CYRILLIC), ("arabic", _ARABIC), ("devanagari", _DEVANAGARI),
    )
})  # fmt: skip
"""Script -> language -> its frequent words, for scripts that several languages share.

Single Latin letters are left out: abbreviations, initials and lists are full of them.
"""

LETTERS: Mapping[str, str] = MappingProxyType({
    "es": "ñ¿¡", "pt": "ãõ", "fr": "œêèùû", "de": "ßäöü", "sv": "åäö", "da": "æøå", "pl": "łąęśźż", "cs": "ěřůčš",
    "ro": "șțăî", "hu": "őű", "tr": "ğış", "vi": "ơưđạảấầậắặếềệộốồớờợụủứừựịỉ", "fi": "äö",
    "ru": "ыэё", "uk": "іїєґ", "fa": "گچپژ", "ur": "ٹڈڑںےہ", "bg": "ъ",
})  # fmt: skip
"""Letters and signs that speak for a language beside the others of its script."""
