import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.data.instructions import LANGUAGES
from penjing.errors import MissingExtraError
from penjing.tasks.instructions import KINDS
from penjing.tasks.instructions import language as detector
from penjing.tasks.instructions.language import response_language

# One sentence in every language: the children played in the garden until dark, then went home with their father.
SENTENCES = {
    "en": "The children played in the garden until it was dark, and then they went home with their father.",
    "es": "Los niños jugaron en el jardín hasta que oscureció y después volvieron a casa con su padre.",
    "pt": "As crianças brincaram no jardim até escurecer e depois voltaram para casa com o pai.",
    "fr": "Les enfants ont joué dans le jardin jusqu'à la nuit, puis ils sont rentrés à la maison avec leur père.",
    "de": "Die Kinder spielten im Garten, bis es dunkel wurde, und gingen dann mit ihrem Vater nach Hause.",
    "it": "I bambini hanno giocato in giardino finché non è diventato buio e poi sono tornati a casa con il padre.",
    "nl": "De kinderen speelden in de tuin tot het donker werd en gingen daarna met hun vader naar huis.",
    "sv": "Barnen lekte i trädgården tills det blev mörkt och sedan gick de hem med sin pappa.",
    "da": "Børnene legede i haven, indtil det blev mørkt, og så gik de hjem med deres far.",
    "pl": "Dzieci bawiły się w ogrodzie, aż zrobiło się ciemno, a potem wróciły do domu z ojcem.",
    "cs": "Děti si hrály na zahradě, dokud se nesetmělo, a pak šly domů se svým otcem.",
    "ro": "Copiii s-au jucat în grădină până s-a întunecat și apoi au mers acasă cu tatăl lor.",
    "hu": "A gyerekek sötétedésig játszottak a kertben, és aztán hazamentek az apjukkal.",
    "fi": "Lapset leikkivät puutarhassa, kunnes tuli pimeä, ja sitten he menivät kotiin isänsä kanssa.",
    "tr": "Çocuklar hava kararana kadar bahçede oynadılar ve sonra babalarıyla birlikte eve gittiler.",
    "id": "Anak-anak bermain di taman sampai hari gelap, dan kemudian mereka pulang dengan ayah mereka.",
    "vi": "Bọn trẻ chơi trong vườn cho đến khi trời tối, rồi chúng về nhà với bố của mình.",
    "sw": "Watoto walicheza katika bustani hadi giza lilipoingia, na baadaye walirudi nyumbani na baba yao.",
    "ru": "Дети играли в саду, пока не стемнело, а потом они пошли домой с отцом.",
    "uk": "Діти гралися в саду, поки не стемніло, а потім вони пішли додому з батьком.",
    "bg": "Децата играха в градината, докато се стъмни, и след това се прибраха вкъщи с баща си.",
    "ar": "لعب الأطفال في الحديقة حتى حل الظلام ثم عادوا إلى البيت مع والدهم.",
    "fa": "بچه‌ها تا تاریک شدن هوا در باغ بازی کردند و بعد با پدرشان به خانه رفتند.",
    "ur": "بچے اندھیرا ہونے تک باغ میں کھیلتے رہے اور پھر اپنے والد کے ساتھ گھر چلے گئے۔",
    "hi": "बच्चे अंधेरा होने तक बगीचे में खेलते रहे और फिर अपने पिता के साथ घर चले गए।",
    "mr": "अंधार पडेपर्यंत मुले बागेत खेळत होती आणि नंतर ते आपल्या वडिलांबरोबर घरी गेले.",
    "ne": "केटाकेटीहरू अँध्यारो नहुन्जेल बगैंचामा खेले र त्यसपछि आफ्नो बुबासँग घर गए।",
    "bn": "বাচ্চারা অন্ধকার হওয়া পর্যন্ত বাগানে খেলেছিল এবং তারপর বাবার সাথে বাড়ি গিয়েছিল।",
    "gu": "બાળકો અંધારું થાય ત્યાં સુધી બગીચામાં રમ્યા અને પછી પિતા સાથે ઘરે ગયા.",
    "pa": "ਬੱਚੇ ਹਨੇਰਾ ਹੋਣ ਤੱਕ ਬਾਗ ਵਿੱਚ ਖੇਡਦੇ ਰਹੇ ਅਤੇ ਫਿਰ ਪਿਤਾ ਨਾਲ ਘਰ ਚਲੇ ਗਏ।",
    "ta": "குழந்தைகள் இருட்டும் வரை தோட்டத்தில் விளையாடினார்கள், பின்னர் தந்தையுடன் வீட்டிற்குச் சென்றார்கள்.",
    "te": "పిల్లలు చీకటి పడే వరకు తోటలో ఆడుకున్నారు, తర్వాత తండ్రితో ఇంటికి వెళ్లారు.",
    "kn": "ಮಕ್ಕಳು ಕತ್ತಲಾಗುವವರೆಗೆ ತೋಟದಲ್ಲಿ ಆಡಿದರು, ನಂತರ ತಂದೆಯೊಂದಿಗೆ ಮನೆಗೆ ಹೋದರು.",
    "ml": "കുട്ടികൾ ഇരുട്ടുന്നതുവരെ പൂന്തോട്ടത്തിൽ കളിച്ചു, പിന്നെ അച്ഛനോടൊപ്പം വീട്ടിലേക്ക് പോയി.",
    "th": "เด็กๆ เล่นในสวนจนมืด แล้วก็กลับบ้านกับพ่อ",
    "el": "Τα παιδιά έπαιξαν στον κήπο μέχρι να σκοτεινιάσει και μετά πήγαν σπίτι με τον πατέρα τους.",
    "he": "הילדים שיחקו בגינה עד שהחשיך ואז הלכו הביתה עם אביהם.",
    "ja": "子どもたちは暗くなるまで庭で遊び、それから父親と一緒に家に帰りました。",
    "ko": "아이들은 어두워질 때까지 정원에서 놀다가 아버지와 함께 집으로 돌아갔습니다.",
    "zh": "孩子们在花园里玩到天黑，然后和父亲一起回家了。",
}


def test_every_language_that_can_be_asked_for_has_a_sentence():
    assert set(SENTENCES) == set(LANGUAGES)


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_told_from_all_other_languages(language):
    found = {other for other in LANGUAGES if response_language(SENTENCES[language], language=other)}
    assert found == {language}


@given(st.text(max_size=30))
def test_the_answer_is_that_of_the_original_with_one_seed(text):
    """IFEval: `langdetect.detect(value) == language`, true where that raises."""
    import langdetect

    langdetect.DetectorFactory.seed = 0
    try:
        told = {langdetect.detect(text).split("-")[0]}
    except langdetect.LangDetectException:
        told = set(LANGUAGES)
    finally:
        langdetect.DetectorFactory.seed = None
    assert {language for language in LANGUAGES if response_language(text, language=language)} == told & set(LANGUAGES)


@given(st.text(alphabet="0123456789 .,!?*-{}[]\n", max_size=20), st.sampled_from(sorted(LANGUAGES)))
def test_without_letters_anything_is_possible(text, language):
    assert response_language(text, language=language)


def test_the_kinds_that_need_the_detector_are_those_of_languages_and_of_english():
    assert {kind for kind in KINDS if "language" in kind or "english" in kind} == detector.KINDS


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "langdetect.detector_factory", None)
    detector.ready.cache_clear()
    detector._found.cache_clear()
    with pytest.raises(MissingExtraError, match=r"langdetect.*penjing\[instructions\]"):
        response_language("a few words", language="en")
