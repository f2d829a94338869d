"""What some English words name: who is he or she, who feels, what is a time, a place, a feeling, a look.

Short lists of common words. A word that is not here is a thing, and of it less is asked; nothing is ever concluded about a real person.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MALE: Final = _words(
    "king prince man boy lad youth father brother son husband uncle lord master grandfather grandson nephew gentleman knight fisherman"
    " huntsman woodcutter duke emperor monk priest page shepherd fellow bridegroom widower wizard sir mr he him godfather stepfather"
    " stepson miller tailor sultan peddler fisher woodman nobleman bachelor sorcerer cooper minister"
)
FEMALE: Final = _words(
    "queen princess woman girl maiden maid mother sister daughter wife aunt lady mistress grandmother granddaughter niece witch bride widow"
    " empress fairy stepmother stepdaughter nurse hen she her mrs miss duchess countess goddess housewife damsel mermaid godmother heroine"
    " washerwoman princesses"
)
PERSON: Final = _words(
    "person child baby teacher student learner pupil doctor farmer troll giant dwarf dragon servant soldier cook neighbor neighbour"
    " stranger"
    " traveler traveller beggar thief robber guest friend enemy cousin parent hunter merchant smith driver guard messenger scientist writer"
    " author artist engineer president leader explorer inventor philosopher poet captain sailor judge spirit ghost monster ogre goblin elf"
    " fox wolf bear lion tiger dog cat horse bird mouse rat snake frog ant bee spider rabbit hare sparrow raven crow eagle owl fish cow ox"
    " goat sheep pig donkey duck goose cock rooster monkey elephant tortoise serpent hound dove swallow seal stag deer creature animal"
    " tanuki badger"
    " beast stoorworm couple family people folk men women children crowd nation tribe army crew citizens scientists mason minstrel"
    " magician genie"
    " courtier governor squire saint attendant suitor butler steward counsellor mayor chief warrior sage hermit pilgrim orphan heir"
    " ruler cutter demon imp nymph knight lamb calf kitten chicken bull deer turtle crab whale dolphin bat worm butterfly"
    " nobody somebody everyone everybody who villager elder hero housekeeper waiter baker butcher carpenter landlord lawyer"
    " murderer"
)
GROUPS: Final = _words("people folk men women children couple family crowd army crew courtiers")
TIMES: Final = _words(
    "day days night nights morning evening afternoon noon midnight dawn dusk sunset sunrise hour hours minute minutes week weeks month"
    " months"
    " year years century centuries decade winter summer spring autumn time moment while today tomorrow yesterday monday tuesday wednesday"
    " thursday friday saturday sunday january february march april may june july august september october november december season"
)
PLACES: Final = _words(
    "house castle palace forest wood woods room garden tree mountain hill valley river sea lake ocean shore island village town city"
    " country"
    " land kingdom field meadow road path street church school barn stable kitchen cave hut cottage tower door gate window bed table roof"
    " bridge well pond world earth sky ground home court hall chamber cellar market inn mill ship boat desert jungle farm bank corner floor"
    " fire hearth grave churchyard yard prison temple harbor harbour coast beach rock stone cliff hole nest bush attic stairs camp"
    " continent"
    " atmosphere soil leaves roots cell cells body blood stomach lungs heart brain region north south east west library laboratory factory"
    " africa asia europe america australia england france germany china japan india spain egypt rome"
)
FEELINGS: Final = _words(
    "happy sad angry glad afraid sorry proud ashamed frightened scared surprised pleased delighted unhappy lonely jealous furious worried"
    " anxious astonished amazed miserable joyful content contented disappointed grieved troubled tired weary curious excited grateful"
    " thankful"
    " hopeless upset terrified alarmed satisfied embarrassed envious hungry thirsty relieved sorrowful wretched merry cheerful despairing"
    " enraged hurt shocked nervous bored overjoyed"
    " dismayed horrified amused sick cross eager distressed thrilled appalled indignant cheered"
)
EMOTIONS: Final = _words(
    "joy sorrow grief anger rage fury fear terror horror shame pride wonder astonishment surprise delight despair pity disgust envy"
    " jealousy hatred contempt gratitude amazement alarm dismay misery"
    " happiness sadness anxiety fright pleasure regret remorse curiosity sympathy"
)
"""Feelings as things that somebody is full of."""
ABSTRACT: Final = EMOTIONS | _words("pieces tears danger trouble spell power care love laughter debt mind sleep silence view sight order")
"""Heads after "in" or "into" that are no place."""
LOOKS: Final = _words(
    "beautiful handsome ugly pretty fair tall small short fat thin huge tiny pale dark lovely golden white black red green blue bright"
    " enormous large splendid magnificent"
)
CATENATIVE: Final = _words(
    "want try begin start decide wish hope need like love hate plan promise refuse agree seem appear have use happen continue manage dare"
    " learn forget intend offer order ask tell beg allow help make let expect choose be ought go get command bid persuade invite force"
)
"""Verbs after which "to" says what, not what for."""
WITH_OBJECT: Final = _words(
    "ask tell order want wish help make let allow get force command bid persuade invite beg need choose expect like love hate teach permit"
    " cause enable require have advise warn remind encourage urge entreat"
)
"""Verbs after which somebody, and then "to", says what that one is to do."""
LINKING: Final = _words("be feel become seem look grow appear sound remain stay turn")
VAGUE: Final = _words("thing things something anything nothing everything way matter sort kind part place one ones fact reason case such")
"""Heads that are no answer, for they say nothing."""


def gender(head: str) -> str:
    """ "m", "f", "p" (people of either sex, and animals), "s" (many), "" (a thing)."""
    low = head.lower()
    if low in GROUPS:
        return "s"
    if low in MALE:
        return "m"
    if low in FEMALE:
        return "f"
    if low in PERSON:
        return "p"
    if low.endswith(("women", "men")) and low not in ("specimen", "omen", "stamen", "regimen"):
        return "s"
    if low.endswith("woman"):
        return "f"
    if low.endswith("man") and low not in ("human", "talisman", "caiman"):
        return "m"
    return ""
