"""Two people change the same without knowing of each other, in real browsers: one reads both, decides by a press, and takes it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from protocol.entities import Entity
from protocol.values import Role, StreamKind
from tests.web.tools import WEB
from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, faults

MESSAGES = WEB / "app/messages"
TITLE, TEXT = 1, 2
KEY, LESSON, SECTION = 4_711, 4_712, 4_713
BEFORE = "Water rises as vapour. High up it cools. Then it falls as rain."
AMINAS = "Water rises as warm vapour. High up it cools. Then it falls as rain."
BENS = "Water rises as vapour. High up it cools. Then it falls as rain or snow."
BOTH = "Water rises as warm vapour. High up it cools. Then it falls as rain or snow."

OWN = """async (given) => {
    const scripts = performance.getEntriesByType("resource").map(({name}) => name).filter((name) => /[/]app[/][^/]*[.]js$/.test(name));
    for (const name of scripts) window.sdk ??= await import(name).then((found) => (found.openClient ? found : undefined));
    const client = (window.own ??= await sdk.openClient());
    SCRIPT
}"""


def own(visitor: Visitor, script: str, *given: object) -> Any:
    """Runs a script against the SDK in the visitor's page, as another tab of theirs would."""
    return visitor.page.evaluate(OWN.replace("SCRIPT", script), given)


def write(visitor: Visitor, library: int, fields: dict[int, Any], entity: Entity = Entity.CONTENT, key: int = KEY) -> None:
    """Kept when this returns; sent when there is a network."""
    script = """
        const [stream, entity, key, fields] = given;
        const unsent = client.unsent();
        client.change(stream, entity, key, new Map(fields)).catch(() => undefined);
        await new Promise((go) => unsent.subscribe((all) => all.some(({operation}) => operation.type === "Change") && go()));
        unsent.close();"""
    own(visitor, script, library, int(entity), key, list(fields.items()))


def sees(visitor: Visitor, library: int, fields: dict[int, Any], key: int = KEY) -> None:
    """Waits until the record is so on the visitor's device."""
    script = """
        const record = client.record(given[0], given[1], given[2]);
        let seen;
        const late = (go, stop) => setTimeout(() => stop(new Error(`still ${JSON.stringify([...seen])}`)), given[4]);
        await new Promise((go, stop) => {
            late(go, stop);
            record.subscribe(({fields}) => { seen = fields; if (given[3].every(([number, value]) => fields.get(number) === value)) go(); });
        });
        record.close();"""
    own(visitor, script, library, int(Entity.CONTENT), key, list(fields.items()), WAIT_MS)


def say_when_offline(visitor: Visitor, offline: bool) -> None:
    visitor.context.set_offline(offline)
    if offline:
        expect(visitor.page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)


def disagree(amina: Visitor, ben: Visitor, library: int, hers: dict[int, str], his: dict[int, str]) -> None:
    """Both write without a network; hers comes first, so that his waits for a decision."""
    for visitor, fields in ((amina, hers), (ben, his)):
        say_when_offline(visitor, True)
        write(visitor, library, fields)
    say_when_offline(amina, False)
    expect(amina.page.locator(".sync.good, .sync.ask")).to_be_visible(timeout=WAIT_MS)
    say_when_offline(ben, False)
    expect(ben.page.locator(".sync.ask summary")).to_contain_text("1 to decide", timeout=WAIT_MS)


@pytest.fixture(scope="module")
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "ben", PHONE)
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def library(amina: Visitor, ben: Visitor) -> int:
    """Where both may write the text of a lesson, which stands there already."""
    amina.sign_up("Amina Njeri")
    ben.sign_up("Ben Otieno")
    space = own(amina, "return await client.submit({type: 'CreateCommunity', name: 'Seven springs school', open_to_all: false})")
    invite = "const {user} = await client.search(given[1]); await client.submit({type: 'Invite', space: given[0], user, role: given[2]})"
    own(amina, invite, space, ben.name, int(Role.MENTOR))
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".talk-link").first).to_be_visible(timeout=WAIT_MS)
    find = """
        const find = () => client.places.value.spaces.flatMap(({streams}) => streams).find(({kind}) => kind === given[0])?.stream;
        return find() ?? (await new Promise((go) => client.places.subscribe(() => find() && go(find()))));"""
    stream: int = own(amina, find, int(StreamKind.LIBRARY))
    write(amina, stream, {TITLE: "The way of water", TEXT: BEFORE})
    sees(ben, stream, {TEXT: BEFORE})
    return stream


def side(page: Page, field: str, label: str) -> Any:
    return page.locator("fieldset", has=page.locator("legend", has_text=field)).locator(".half", has_text=label)


def test_a_conflict_is_counted_read_decided_by_a_press_and_undone_by_one(amina: Visitor, ben: Visitor, library: int) -> None:
    disagree(amina, ben, library, {TITLE: "The path of water", TEXT: AMINAS}, {TITLE: "Water on its way", TEXT: BENS})
    page = ben.page
    page.locator(".sync summary").click()
    panel = page.locator(".panel").bounding_box()
    assert panel and panel["x"] >= 0 and panel["x"] + panel["width"] <= PHONE["width"]
    ben.shoot("conflicts-panel-phone")
    page.locator(".panel a").click()
    expect(page.locator(".conflicts li")).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator(".conflicts li")).to_contain_text("Seven springs school")
    ben.shoot("conflicts-phone")
    assert faults(page) == []
    page.locator(".conflicts a.row").click()

    # Both sides are there, with what each changed; the text of both together is offered, the title has to be chosen.
    expect(side(page, "Text", "Yours").locator("ins")).to_contain_text("or snow", timeout=WAIT_MS)
    expect(side(page, "Text", "What stands there now").locator("ins")).to_contain_text("warm")
    expect(side(page, "Text", "Both together").locator("textarea")).to_have_value(BOTH)
    expect(page.locator("form button.main")).to_be_disabled()
    side(page, "Title", "Yours").locator("input[type=radio]").check()
    expect(page.locator(".record dd").first).to_contain_text("on its way")
    ben.shoot("conflict-phone")
    side(page, "Text", "Yours").scroll_into_view_if_needed()
    ben.shoot("conflict-text-phone")
    assert faults(page) == []
    page.locator("form button.main").click()
    expect(page.locator(".about .note.done")).to_contain_text("put together", timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("conflict-decided-phone")
    for visitor in (amina, ben):
        sees(visitor, library, {TITLE: "Water on its way", TEXT: BOTH})

    page.locator(".about button", has_text="Undo").click()
    expect(page.locator(".sync.ask")).to_be_visible(timeout=WAIT_MS)
    page.locator("button", has_text="Bring back what was there").click()
    expect(page.locator(".about .note.done")).to_contain_text("was kept", timeout=WAIT_MS)
    for visitor in (amina, ben):
        sees(visitor, library, {TITLE: "The path of water", TEXT: AMINAS})
    assert amina.wrong == [] and ben.wrong == []


def test_who_decides_without_a_network_sees_it_wait_and_it_arrives(amina: Visitor, ben: Visitor, library: int) -> None:
    disagree(amina, ben, library, {TITLE: "Rivers"}, {TITLE: "Clouds"})
    page = ben.page
    assert page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    say_when_offline(ben, True)
    page.goto(f"{ben.origin}/#/conflicts")
    page.locator(".conflicts a.row").first.click()
    page.locator("button", has_text="Take my change").click()
    expect(page.locator(".about .waits")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("conflict-offline-phone")
    page.reload()
    expect(page.locator(".about .waits")).to_be_visible(timeout=WAIT_MS)
    say_when_offline(ben, False)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".about .waits")).to_have_count(0, timeout=WAIT_MS)
    for visitor in (amina, ben):
        sees(visitor, library, {TITLE: "Clouds"})


def test_who_leads_decides_for_another_and_the_claim_is_seen(amina: Visitor, ben: Visitor, library: int) -> None:
    disagree(amina, ben, library, {TEXT: "Water rises. Rain falls."}, {TEXT: "Vapour rises. Snow falls."})
    page = amina.page
    page.goto(f"{amina.origin}/#/conflicts")
    page.locator(".conflicts a.row", has_text="Ben Otieno").click()
    expect(page.locator(".about")).to_contain_text("Ben Otieno changed this", timeout=WAIT_MS)
    page.locator(".claim button").click()
    expect(page.locator(".claim")).to_contain_text("You are deciding this", timeout=WAIT_MS)
    ben.page.goto(f"{ben.origin}/#/conflicts")
    expect(ben.page.locator(".conflicts li").first).to_contain_text("Amina Njeri is deciding this", timeout=WAIT_MS)

    # The same words were changed: each is chosen, and the result may be written over.
    clashes = page.locator(".clash")
    for at in range(clashes.count()):
        clashes.nth(at).locator("button", has_text="both").click()
    text = page.locator(".half textarea")
    text.fill("Water and vapour rise. Rain and snow fall.")
    expect(page.locator(".record ins").first).to_be_visible()
    amina.shoot("conflict-desktop")
    assert faults(page) == []
    page.evaluate("document.documentElement.dataset.look = 'dark'")
    amina.shoot("conflict-dark-desktop")
    page.evaluate("delete document.documentElement.dataset.look")
    page.locator("form button.main").click()
    expect(page.locator(".about .note.done")).to_be_visible(timeout=WAIT_MS)
    for visitor in (amina, ben):
        sees(visitor, library, {TEXT: "Water and vapour rise. Rain and snow fall."})
    expect(ben.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)


def test_an_earlier_version_is_taken_back_and_that_is_undone(amina: Visitor, ben: Visitor, library: int) -> None:
    page = amina.page
    page.goto(f"{amina.origin}/#/record/{library}/{int(Entity.CONTENT)}/{KEY}")
    first = page.locator(".versions li", has=page.locator("button")).last
    expect(first).to_contain_text("You", timeout=WAIT_MS)
    amina.shoot("versions-desktop")
    assert faults(page) == []
    first.locator("button").click()
    sees(ben, library, {TITLE: "The way of water"})
    page.locator(".note.done button").click()
    sees(ben, library, {TITLE: "Clouds"})
    assert amina.wrong == []


def test_a_deletion_that_met_an_edit_is_decided_as_a_whole_either_way(amina: Visitor, ben: Visitor, library: int) -> None:
    key = KEY + 9
    erase = """
        const unsent = client.unsent();
        client.erase(given[0], given[1], given[2]).catch(() => undefined);
        await new Promise((go) => unsent.subscribe((all) => all.some(({operation}) => operation.gone) && go()));
        unsent.close();"""
    for deletes, edits, kept in ((ben, amina, "Keep what stands there now"), (amina, ben, "Take my change")):
        write(amina, library, {TITLE: "Wells", TEXT: "Dug by hand."}, key=key)
        for visitor in (amina, ben):
            sees(visitor, library, {TEXT: "Dug by hand."}, key=key)
            say_when_offline(visitor, True)
        write(edits, library, {TEXT: "Dug by many hands."}, key=key)
        own(deletes, erase, library, int(Entity.CONTENT), key)
        say_when_offline(amina, False)
        expect(amina.page.locator(".sync.good, .sync.ask")).to_be_visible(timeout=WAIT_MS)
        say_when_offline(ben, False)
        expect(ben.page.locator(".sync.ask")).to_be_visible(timeout=WAIT_MS)
        page = ben.page
        page.goto(f"{ben.origin}/#/conflicts")
        page.locator(".conflicts a.row", has_text="Wells").first.click()
        expect(page.locator(".whole", has_text="This deletes it.")).to_have_count(1, timeout=WAIT_MS)
        expect(page.locator(".record")).to_contain_text("Dug by many hands.")
        assert faults(page) == []
        ben.shoot(f"conflict-deleted-{'mine' if deletes is ben else 'theirs'}-phone")
        page.locator("button", has_text=kept).click()
        expect(page.locator(".about .note.done")).to_be_visible(timeout=WAIT_MS)
        for visitor in (amina, ben):
            sees(visitor, library, {TEXT: "Dug by many hands."}, key=key)
        expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert amina.wrong == [] and ben.wrong == []


def test_an_editor_left_open_while_another_saves_overwrites_nothing(amina: Visitor, ben: Visitor, library: int) -> None:
    write(amina, library, {1: "Water", 8: 1}, Entity.LESSON, LESSON)
    write(amina, library, {TITLE: "Rain", TEXT: "It falls. It is wet.", 3: LESSON}, key=SECTION)
    spaces = "return client.places.value.spaces.find(({streams}) => streams.some(({stream}) => stream === given[0])).space"
    address = f"#/lesson/{own(ben, spaces, library)}/{LESSON}/edit"
    for visitor in (amina, ben):
        visitor.page.goto(f"{visitor.origin}/{address}")
        expect(visitor.page.locator("textarea")).to_have_value("It falls. It is wet.", timeout=WAIT_MS)
    ben.page.locator("textarea").fill("It falls softly. It is wet.")
    write(amina, library, {TEXT: "It falls. It is very wet."}, key=SECTION)
    sees(ben, library, {TEXT: "It falls. It is very wet."}, key=SECTION)
    ben.page.locator(".section-form button.main").click()
    expect(ben.page.locator(".sync.ask")).to_be_visible(timeout=WAIT_MS)
    sees(amina, library, {TEXT: "It falls. It is very wet."}, key=SECTION)
    # Whoever has written nothing in an editor reads there what stands there now.
    expect(amina.page.locator("textarea")).to_have_value("It falls. It is very wet.", timeout=WAIT_MS)

    ben.page.locator(".section-form .note a").click()
    ben.page.locator(".conflicts a.row").first.click()
    ben.page.locator("form button.main").click()
    for visitor in (amina, ben):
        sees(visitor, library, {TEXT: "It falls softly. It is very wet."}, key=SECTION)
    expect(amina.page.locator("textarea")).to_have_value("It falls softly. It is very wet.", timeout=WAIT_MS)
    assert amina.wrong == [] and ben.wrong == []


def test_in_arabic_both_sides_read_from_the_right_and_nothing_sticks_out(amina: Visitor, ben: Visitor, library: int) -> None:
    disagree(amina, ben, library, {TEXT: "الماء يصعد بخارًا. ثم يسقط مطرًا."}, {TEXT: "الماء يصعد بخارًا دافئًا. ثم يسقط ثلجًا."})
    page = ben.page
    page.goto(f"{ben.origin}/#/settings")
    page.locator("label", has_text="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    page.goto(f"{ben.origin}/#/conflicts")
    page.locator(".conflicts a.row").first.click()
    expect(page.locator(".half")).to_have_count(3, timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ben.shoot("conflict-arabic-phone")
    assert faults(page) == []
    assert amina.wrong == [] and ben.wrong == []


def test_what_the_server_does_not_take_is_said_in_ones_own_language_until_it_is_put_away(ben: Visitor, library: int) -> None:
    words = json.loads((MESSAGES / "ar.json").read_text())
    spaces = "return client.places.value.spaces.find(({streams}) => streams.some(({stream}) => stream === given[0])).space"
    refuse = "await client.submit({type: 'CreateChannel', space: given[0], name: 'Mine'}).catch(() => undefined)"
    own(ben, refuse, own(ben, spaces, library))
    page = ben.page
    expect(page.locator(".sync.bad")).to_be_visible(timeout=WAIT_MS)
    page.locator(".sync summary").click()
    expect(page.locator(".failures li")).to_contain_text("Mine")
    expect(page.locator(".failures li")).to_contain_text(words["error.forbidden"])
    ben.shoot("refused-arabic-phone")
    assert faults(page) == []
    page.locator(".failures button", has_text=words["sync.putAway"]).click()
    expect(page.locator(".sync.bad")).to_have_count(0, timeout=WAIT_MS)
    assert ben.wrong == []
