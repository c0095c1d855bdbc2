"""Damaged and contradictory products: each gives one clear error that names file and element."""

import re

import numpy as np
import pytest
import rasterio
from gf3_products import change, meta_of

from glaciertoolkit.errors import FileError, GlacierToolkitError, InputError
from glaciertoolkit.io.gf3 import open_gf3

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def image_of(product, channel="HH"):
    return next(product.glob(f"*_L1A_{channel}_*.tiff"))


def sub(element, value, after="<product>"):
    """A damage: another text of an element, or None to take it out."""

    def damage(product):
        change(product, element, value, after=after)

    return damage


def written(content):
    """A damage: other metadata altogether."""

    def damage(product):
        meta_of(product).write_bytes(content)

    return damage


def rewrite_image(bands=2, dtype="int16", shape=(256, 200), value=None):
    """A damage: another image of HH."""

    def damage(product):
        path = image_of(product)
        path.unlink()
        pixels = np.random.default_rng(1).integers(1, 100, (bands, *shape))
        pixels = np.full_like(pixels, value) if value is not None else pixels
        with rasterio.open(
            path, "w", driver="GTiff", count=bands, dtype=dtype, height=shape[0], width=shape[1]
        ) as out:
            out.write(pixels.astype(dtype))

    return damage


def cut_image(part):
    def damage(product):
        path = image_of(product)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])

    return damage


def unlink(pattern):
    def damage(product):
        found = list(product.glob(pattern))
        assert found
        for file in found:
            file.unlink()

    return damage


def rename(old, new):
    def damage(product):
        for file in list(product.iterdir()):
            file.rename(product / file.name.replace(old, new))

    return damage


def swap_times(product):
    path = meta_of(product)
    text = path.read_text()
    where = text.index("<imagingTime>")
    head, tail = text[:where], text[where:]
    start, end = re.findall(r"<(?:start|end)>(\d.*?)<", tail)[:2]
    assert start < end
    path.write_text(head + tail.replace(end, "x").replace(start, end).replace("x", start, 1))


def vectors(which):
    """A damage: only some of the state vectors."""

    def damage(product):
        text = meta_of(product).read_text()
        found = re.findall(r" *<GPSParam>.*?</GPSParam>\n", text, re.S)
        assert len(found) > 100
        meta_of(product).write_text(text.replace("".join(found), "".join(found[which])))

    return damage


def wild_vector(product):
    text = meta_of(product).read_text()
    where = text.index("<xPosition>", text.index("<GPS>") + 20_000)
    end = text.index("</xPosition>", where)
    value = float(text[where + 11 : end]) + 5e4
    meta_of(product).write_text(f"{text[:where]}<xPosition>{value}{text[end:]}")


def incidence(text):
    def damage(product):
        next(product.glob("*.incidence.xml")).write_text(text)

    return damage


LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE product [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<product><satellite>&c;</satellite></product>"""
OUTSIDE = b"""<?xml version="1.0"?>
<!DOCTYPE product [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<product><satellite>&a;</satellite></product>"""

META = r"\.meta\.xml"
TIFF = r"_L1A_HH_.*\.tiff"

DAMAGES = {
    # Files.
    "no metadata": (unlink("*.meta.xml"), r"holds no \.meta\.xml"),
    "no images": (unlink("*.tiff"), "holds no image .*tiff"),
    "one image missing": (unlink("*_HV_*.tiff"), f"QualifyValue in .*{META} announces.* HV"),
    "truncated image": (cut_image(0.6), f"{TIFF} .*truncated"),
    "image without its end": (cut_image(0.999), f"{TIFF} .*truncated"),
    "empty image": (cut_image(0), f"{TIFF} cannot be opened"),
    "image of one band": (rewrite_image(bands=1), f"{TIFF} has 1 band of int16"),
    "image of four bands": (rewrite_image(bands=4), f"{TIFF} has 4 bands"),
    "image of bytes": (rewrite_image(dtype="uint8"), f"{TIFF} has 2 bands of uint8"),
    "image of another width": (rewrite_image(shape=(256, 190)), "HH.*HV.*lines and samples"),
    "image without content": (rewrite_image(value=0), f"{TIFF} has no valid pixel"),
    "constant image": (rewrite_image(value=7), f"{TIFF} is constant"),
    "renamed polarisation": (rename("_HV_", "_XX_"), "does not say which polarisation"),
    "foreign names": (rename("GF3_", "scene_"), "is not named as GF-3"),
    "another date in the name": (rename("20190903", "20190407"), f"imagingTime/start in .*{META}"),
    "no date in the name": (rename("20190903", "20191345"), f"{META} says 20191345"),
    "another level in the name": (rename("_L1A_", "_L2_"), f"productLevel in .*{META}"),
    # XML.
    "empty metadata": (written(b""), f"{META} is not well-formed"),
    "cut metadata": (written(b"<product><satellite>GF3</sat"), f"{META} is not well-formed"),
    "binary metadata": (written(bytes(range(256))), f"{META} is not well-formed"),
    "other encoding": (
        written(b"<?xml version='1.0' encoding='nothing'?><product/>"),
        f"{META} is not well-formed",
    ),
    "other root": (written(b"<html><body/></html>"), f"{META} begins with the element <html>"),
    "expanding entities": (written(LAUGHS), f"{META} declares .* entities"),
    "outside entity": (written(OUTSIDE), f"{META} declares .* entities"),
    # Elements.
    "no start": (sub("start", None, "<imageinfo>"), f"imagingTime/start in .*{META} is missing"),
    "NULL end": (sub("end", "NULL", "<imageinfo>"), f"imagingTime/end in .*{META} is .*NULL"),
    "start without a date": (sub("imagingTime", "<start>soon</start><end>2</end>"), "not a date"),
    "swapped times": (swap_times, "imageinfo/imagingTime in .* runs from"),
    "no look direction": (sub("lookDirection", None), "sensor/lookDirection in .* is missing"),
    "NULL look direction": (sub("lookDirection", "NULL"), "sensor/lookDirection in .* NULL"),
    "unknown look direction": (sub("lookDirection", "U"), "lookDirection .* not R or L"),
    "other look direction": (sub("lookDirection", "L"), "imageinfo/center in .* lies .* km from"),
    "unknown direction": (sub("Direction", "UP"), "Direction in .* not ASC or DEC"),
    "other direction": (sub("Direction", "ASC"), "Direction in .* southwards"),
    "other satellite": (sub("satellite", "GF3B"), "satellite in .* 'GF3B'"),
    "NULL near range": (sub("nearRange", "NULL"), "imageinfo/nearRange in .* NULL"),
    "near range as a time": (sub("nearRange", "6118.6"), "imageinfo/nearRange in .* 6118.6 m"),
    "other near range": (sub("nearRange", "1010000"), "imageinfo/center in .* lies"),
    "near range in words": (sub("nearRange", "far"), "nearRange in .* 'far', not a number"),
    "infinite near range": (sub("nearRange", "inf"), "nearRange in .* not a number"),
    "NULL sampling": (sub("eqvFs", "NULL"), "imageinfo/eqvFs in .* NULL"),
    "sampling in Hz": (sub("eqvFs", "66666667"), "imageinfo/eqvFs in .* MHz"),
    "no line rate": (sub("eqvPRF", None), "imageinfo/eqvPRF in .* missing"),
    "other line rate": (sub("eqvPRF", "3896.09"), "imagingTime in .* lines"),
    "no wavelength": (
        lambda p: (sub("lamda", "NULL")(p), sub("RadarCenterFrequency", "NULL")(p)),
        "sensor/lamda in .* NULL",
    ),
    "L band": (sub("lamda", "0.24"), "sensor/lamda in .* 0.24 m"),
    "no quality of a channel": (
        lambda p: change(p, "QualifyValue", "<HH>NULL</HH><HV>3</HV>"),
        "imageinfo/QualifyValue/HH in .* NULL.* GF3_.*_HH_",
    ),
    "negative quality": (
        lambda p: change(p, "QualifyValue", "<HH>-3</HH><HV>3</HV>"),
        "imageinfo/QualifyValue/HH in .* not a positive",
    ),
    "other width": (sub("width", "26719"), "imageinfo/width in .* 26719"),
    "other height": (sub("height", "250.5"), "imageinfo/height in .* 250.5"),
    "center nowhere": (
        sub("center", "<latitude>128</latitude><longitude>0</longitude>", "<imageinfo>"),
        "imageinfo/center in .* is at 128, 0",
    ),
    "no state vectors": (sub("GPS", ""), "GPS/GPSParam of .* 0 state vectors"),
    "three state vectors": (vectors(slice(60, 63)), "GPS/GPSParam of .* 3 state vectors"),
    "state vectors of another time": (vectors(slice(90, None)), "GPS/GPSParam of .* do not cover"),
    "a wild state vector": (wild_vector, "GPS/GPSParam of .* contradict"),
    "NULL in a state vector": (sub("yPosition", "NULL"), r"GPS/GPSParam\[1\]/yPosition in .* NULL"),
    "state vector without a time": (sub("TimeStamp", "09:61"), r"GPSParam\[1\]/TimeStamp in"),
    # Incidence.
    "cut incidence": (incidence("<a><incidenceValue>"), r"incidence\.xml is not well-formed"),
    "too few angles": (
        incidence("<a><incidenceValue>30</incidenceValue></a>"),
        r"incidenceValue in .*too few",
    ),
    "wrong number of angles": (
        incidence("<a><numberofIncidenceValue>3</numberofIncidenceValue></a>"),
        r"numberofIncidenceValue in .*incidence\.xml is 3",
    ),
    "angle beyond the horizon": (
        incidence("<a>" + 200 * "<incidenceValue>95</incidenceValue>" + "</a>"),
        "incidenceValue in",
    ),
    "NULL angle": (
        incidence("<a>" + 200 * "<incidenceValue>NULL</incidenceValue>" + "</a>"),
        "not a number",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_one_clear_error(copy, name):
    damage, message = DAMAGES[name]
    damage(copy)
    with pytest.raises(GlacierToolkitError, match=message) as caught:
        open_gf3(copy)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert str(copy) in text


def test_the_whole_product_opens(copy):
    """The negative control."""
    assert open_gf3(copy).HH.shape == (256, 200)


def test_a_missing_channel_does_not_matter_if_it_is_not_wanted(copy):
    unlink("*_HV_*.tiff")(copy)
    assert set(open_gf3(copy, polarisations="HH").data_vars) == {"HH", "incidence"}
    with pytest.raises(InputError, match="has no HV channel"):
        open_gf3(copy, polarisations="HV")


def test_what_is_gone_while_it_is_read(copy):
    """Damage after the examination is an error of ours still."""
    scene = open_gf3(copy, polarisations="HH")
    cut_image(0.5)(copy)
    with pytest.raises(FileError, match="changed since"):
        scene.HH[-5:].compute()


@pytest.mark.parametrize("path", ["nothing", "nothing.zip", "nothing.tar.gz", "nothing.meta.xml"])
def test_nothing_there(tmp_path, path):
    with pytest.raises(FileError, match="does not exist"):
        open_gf3(tmp_path / path)


def test_a_file_that_is_no_product(tmp_path):
    file = tmp_path / "image.tif"
    file.write_text("x")
    with pytest.raises(FileError, match="is not a GF-3 product"):
        open_gf3(file)
