"""What a name tells of a machine's state: words of many languages, compared without accents.

No list is complete. Where a name says nothing here, `folder.hint` says what it is taken for.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable

FAULTY, UNTOLD, HEALTHY = -1, 0, 1


def folded(text: str) -> str:
    """Lower case, without accents and with `ß` as `ss`: names lose them on the way."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if unicodedata.category(c)[0] != "M")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(folded(word) for word in text.split())


_FAULTY = frozenset(
    _listed(
        """
        abn anom alarm bad ng nok nio ko bent false ill neg negative pos positive true loose rubbing
        scrap scrapped seized sick stuck jammed wear worn krank before blocked blockage
        befund innerrace outerrace outoforder outofservice unwucht locker undicht vorher gestört
        gerissen gebrochen verstopft avant casse cassé cassée défaut panne rebut usure
        horsservice mal mala malo mauvais mauvaise roto rota falla fallas fallo fallos falha
        falhas ruim rotto rotta scarto fout kapot lek storing versleten ziek fel feil fejl dålig
        dårlig ødelagt syk syg trasig sönder rikki vika huono sairas hiba rossz zły zła zepsute
        kvar bozuk rusak брак отказ износ عطل معطل تالف خلل תקול खराब
        """
    )
)
_FAULTY_STEMS = _listed(
    """
    abnorm anomal broke cavitat chipped clogg contamin corro crack damag defect defekt degrad
    error fail fault imbalanc leak malfunc misalign overheat overload rattl reject repair
    squeak squeal unbalanc repar ausschuss beschädig beschaedig fehler kaput mangel mängel
    schaden schäd schaed schlecht störung stoerung verschleiß verschliss abîmé défaill défectu
    endommag anomalie averi avari dañad desgast rechaz danific defeit estragad quebrad danneggiat
    difett guast usurat afgekeurd beschadigd skad viallin vaurio hibás sérült awari usterk uszkodz
    wadliw zepsut poškoz poruch porouch vadn pokvar stricat arıza hatalı kusurlu авари дефект
    поврежд повред поломк плох сломан пошкодж счупен βλαβ ελαττωμ χαλασμεν
    """
)
# A repair lies between the two; what comes after it is whole.
_MENDED = frozenset(_listed("after nachher après repaired repariert ordnung"))
_HEALTHY = frozenset(
    _listed(
        """
        accept accepted approved baseline functional functioning good healthy intact intakt io
        nominal norm normal normals normale normaal ok operational operative pass passed
        post serviceable working nach einwandfrei gesund gut heil normalbetrieb bon bonne conforme
        sain saine bueno buena sano sana bom boa saudável buono buona integro funzionante goed
        gezond frisk ehjä kunnossa terve hyvä hibátlan sağlam iyi baik bezvadný pořádku годен
        справно سليم طبيعي תקין ठीक
        """
    )
)
_HEALTHY_STEMS = _listed(
    "funktionier goedgek sprawn dobr dobar zdrow zdrav isprav исправ изправ справн хорош норм "
    "здоров"
)
# Scripts that put no space between words; single letters of Latin ones would be anywhere.
_FAULTY_WITHIN = _listed(
    """
    不良 不合格 不具合 异常 異常 异音 異音 故障 损坏 損壞 坏 壊 壞 缺陷 欠陥 破损
    破損 磨损 磨損 摩耗 劣化 泄漏 漏れ 次品 废品 廢品 비정상 불량 고장 이상 결함 파손 เสีย ชำรุด ผิดปกติ
    """
)
_HEALTHY_WITHIN = _listed("正常 良品 良好 合格 健康 健全 完好 好 정상 양품 양호 ปกติ ดี")
_NOT_SO = frozenset(_listed("not non off nicht niet ej ikke inte ei не"))
_NOT = _NOT_SO | frozenset(
    _listed("no without kein keine ohne sans sin sem senza geen bez без free frei")
)
_NEGATING = _listed(
    "a ab an dys im in ir no non not un ne nie ni on nicht kein bez без не ни 不 非 未 无 無 비 불"
)
_WITHOUT = ("free", "frei", "fri", "vrij", "less", "los")
_COMPOUNDS = ("schaden", "fehler", "defekt", "fault", "failure", "damage", "leak")


def words_of(name: str) -> set[str]:
    """The words of a name, folded, with and without digits."""
    name = folded(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    return {word for pattern in (r"[^\W_]+", r"[^\W\d_]+") for word in re.findall(pattern, name)}


def as_one(name: str) -> str:
    """The letters of a name as one word: `n.i.O. 2` is nio."""
    return re.sub(r"[\W\d_]+", "", folded(name))


def of_word(word: str) -> int:
    """What one folded word tells: `FAULTY`, `HEALTHY` or `UNTOLD`."""
    if word in _MENDED or word in _HEALTHY or word.startswith(_HEALTHY_STEMS):
        return HEALTHY
    for end in _WITHOUT:
        if word.endswith(end) and _plainly(word[: -len(end)]) == FAULTY:
            return HEALTHY
    if word in _FAULTY or word.startswith(_FAULTY_STEMS):
        return FAULTY
    for negation in _NEGATING:
        if word.startswith(negation) and (rest := _plainly(word[len(negation) :])):
            return -rest
    if word.endswith(_COMPOUNDS) and word != "default":
        return FAULTY
    if any(part in word for part in _FAULTY_WITHIN):
        return FAULTY
    return HEALTHY if any(part in word for part in _HEALTHY_WITHIN) else UNTOLD


def _plainly(word: str) -> int:
    """What a word tells that follows a negation: only whole words and stems."""
    if word in _HEALTHY or word.startswith((*_HEALTHY_STEMS, *_HEALTHY_WITHIN)):
        return HEALTHY
    return FAULTY if word in _FAULTY or word.startswith(_FAULTY_STEMS) else UNTOLD


def of_name(name: str) -> int:
    """What a name tells: `after repair` is healthy, `no leak` too, `not ok` is not."""
    words = words_of(name)
    told = {of_word(word) for word in words} - {UNTOLD}
    if not told:
        one = as_one(name)
        return FAULTY if one in _FAULTY else HEALTHY if one in _HEALTHY else UNTOLD
    said = HEALTHY if HEALTHY in told else FAULTY
    return -said if words & _NOT else said


def asking(name: str) -> set[str]:
    """The words of a name that by themselves say that recordings differ in their state."""
    words = words_of(name)
    found = {word for word in words if word in _MENDED or of_word(word) == FAULTY}
    found |= {as_one(name)} & _FAULTY
    row = re.findall(r"[^\W_]+", folded(name))
    pairs = itertools.pairwise(row)
    found |= {no for no, word in pairs if no in _NOT and of_word(word) == HEALTHY}
    return found - {"pos"}  # a position, more often than not


def beside(names: Iterable[str]) -> dict[str, int]:
    """What names tell that stand beside each other: `typical` beside `atypical` is healthy."""
    told = {name: of_name(name) for name in names}
    for name, other in itertools.permutations([n for n in told if not told[n]], 2):
        if _negates(name, other):
            told |= {name: FAULTY, other: HEALTHY}
    return told


def _negates(name: str, other: str) -> bool:
    more, words = words_of(name) - words_of(other), words_of(other)
    if more and more <= _NOT_SO and words <= words_of(name):
        return True
    one, of = folded(name), folded(other)
    return of.isalpha() and len(of) > 2 and any(one == negation + of for negation in _NEGATING)
