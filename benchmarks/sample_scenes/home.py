# ruff: noqa: E501 - shapes and textures read best with one part a line
"""Kitchen things and furniture."""

from __future__ import annotations

from thing import ANY, Thing

MUG = """
difference{ cylinder{0,y*1.4,.65} cylinder{y*.08,y*1.5,.57} }
torus{.61,.04 translate y*1.4}
difference{ torus{.38,.1 scale <1,1,1.15> rotate x*90 translate <.7,.7,0>} cylinder{0,y*1.5,.6} }
"""
TEAPOT = """
sphere{0,.85 scale <1,.82,1> translate y*.72}
cylinder{0,y*.1,.5}
sphere{0,.45 scale <1,.35,1> translate y*1.35}
sphere{<0,1.58,0>,.12}
cone{<.55,.5,0>,.26,<1.2,1.1,0>,.11} cone{<1.2,1.1,0>,.11,<1.38,1.18,0>,.13}
difference{ torus{.42,.085 rotate x*90 translate <-.85,.8,0>} sphere{0,.8 scale <1,.82,1> translate y*.72} }
"""
VASE = """
difference{
 sor{9,<.3,-.2>,<.38,0>,<.65,.5>,<.68,.9>,<.4,1.4>,<.27,1.7>,<.33,1.95>,<.45,2.1>,<.5,2.2>}
 sor{8,<.2,-.1>,<.3,.12>,<.58,.5>,<.61,.9>,<.33,1.4>,<.2,1.7>,<.39,2.13>,<.45,2.3>}
}
"""
BOTTLE = """
sor{9,<.42,-.1>,<.42,0>,<.43,.5>,<.43,1.0>,<.38,1.3>,<.18,1.6>,<.14,1.8>,<.14,2.2>,<.14,2.4>}
torus{.14,.035 translate y*2.1}
cylinder{y*2.15,y*2.38,.11 texture{T_Cork}}
difference{cylinder{y*.35,y*.9,.445} cylinder{y*.3,y*1,.44} texture{T_Cream}}
"""
GLASS = """
cylinder{0,y*.05,.5} cone{y*.05,.4,y*.12,.06}
cylinder{y*.05,y*.95,.06}
difference{
 sor{7,<0,.7>,<.06,.9>,<.45,1.15>,<.56,1.5>,<.5,1.9>,<.42,2.2>,<.4,2.4>}
 sor{7,<0,.75>,<.04,.97>,<.4,1.18>,<.51,1.5>,<.45,1.9>,<.38,2.22>,<.36,2.4>}
}
"""
BOWL = """
difference{ sphere{y*1,1} sphere{y*1,.92} box{<-2,.85,-2>,<2,3,2>} box{<-2,-1,-2>,<2,.03,2>}}
torus{.95,.045 translate y*.85} cylinder{0,y*.06,.4}
"""
PLATE = """
difference{ cylinder{<0,0,0>,<0,.15,0>,1.2} cone{y*.06,.75,y*.16,1.18} }
torus{1.18,.04 translate y*.14} torus{.95,.015 translate y*.115 texture{T_White}}
"""
CHAIR = """
superellipsoid{<.2,.2> scale <.6,.08,.6> translate y*1}
#for(I,-1,1,2)
 cylinder{<.52*I,0,-.52>,<.52*I,1,-.52>,.07}
 cylinder{<.52*I,0,.52>,<.52*I,2.2,.52>,.07}
 cylinder{<.52*I,.4,-.52>,<.52*I,.4,.52>,.04}
#end
#for(I,0,2) box{<-.52,1.3+.32*I,.48>,<.52,1.48+.32*I,.56>} #end
"""
TABLE = """
superellipsoid{<.1,.1> scale <1.3,.08,.8> translate y*1.2}
#for(I,-1,1,2) #for(J,-1,1,2) cone{<1.1*I,0,.6*J>,.06,<1.1*I,1.2,.6*J>,.11} #end #end
box{<-1.1,.95,-.62>,<1.1,1.15,.62>}
"""
STOOL = """
cylinder{y*1.25,y*1.4,.65} torus{.6,.075 translate y*1.32}
#for(I,0,2) cylinder{<.65,0,0>,<.4,1.3,0>,.075 rotate y*(120*I+30)} #end
torus{.5,.04 translate y*.55}
"""
SOFA = """
superellipsoid{<.25,.25> scale <1.35,.25,.6> translate y*.42}
superellipsoid{<.3,.3> scale <1.35,.6,.2> translate <0,.85,.5>}
#for(I,-1,1,2)
 superellipsoid{<.35,.35> scale <.2,.42,.65> translate <1.25*I,.6,0>}
 superellipsoid{<.35,.35> scale <.52,.14,.5> translate <.53*I,.72,-.08>}
 superellipsoid{<.4,.4> scale <.5,.32,.13> rotate x*12 translate <.53*I,1.08,.3>}
 cylinder{<1.15*I,0,-.4>,<1.15*I,.3,-.4>,.07 texture{T_WoodDark}}
 cylinder{<1.15*I,0,.45>,<1.15*I,.3,.45>,.07 texture{T_WoodDark}}
#end
"""
BED = """
box{<-1.35,.3,-.75>,<1.35,.5,.75> texture{T_WoodLight}}
box{<-1.45,0,-.8>,<-1.33,1.35,.8> texture{T_WoodLight}}
box{<1.33,0,-.8>,<1.45,.7,.8> texture{T_WoodLight}}
superellipsoid{<.2,.2> scale <1.32,.17,.72> translate y*.6 texture{T_White}}
superellipsoid{<.25,.25> scale <.93,.19,.77> translate <.38,.64,0>}
#for(I,-1,1,2) superellipsoid{<.5,.6> scale <.28,.13,.3> translate <-.95,.86,.35*I> texture{T_White}} #end
"""
LAMP = """
cylinder{0,y*.1,.45 texture{T_Steel}} sphere{0,.4 scale <1,.3,1> translate y*.1 texture{T_Steel}}
cylinder{0,y*1.4,.06 texture{T_Steel}}
difference{ cone{y*1.15,.8,y*2.1,.42} cone{y*1.14,.76,y*2.11,.38} }
sphere{<0,1.4,0>,.2 texture{T_Glow}}
light_source{<0,1.3,0> rgb <.5,.42,.25> fade_distance 1.2 fade_power 2 shadowless}
"""
CLOCK = """
cylinder{<0,1,-.15>,<0,1,.15>,1} torus{.95,.1 rotate x*90 translate <0,1,-.15>}
cylinder{<0,1,-.17>,<0,1,0>,.85 texture{T_White}}
#for(I,0,11) box{<-.025,.62,-.19>,<.025,.78,-.1> rotate z*30*I translate y*1 texture{T_Black}} #end
box{<-.045,-.1,-.2>,<.045,.4,-.18> rotate z*55 translate y*1 texture{T_Black}}
box{<-.03,-.1,-.21>,<.03,.62,-.19> rotate z*-60 translate y*1 texture{T_Black}}
cylinder{<0,1,-.22>,<0,1,0>,.06 texture{T_Black}}
box{<-.6,0,-.25>,<-.3,.2,.25>} box{<.3,0,-.25>,<.6,.2,.25>}
"""
CANDLE = """
cylinder{y*.1,y*1.6,.32} torus{.27,.05 translate y*1.6}
cylinder{0,y*.1,.7 texture{T_Steel}} torus{.7,.05 translate y*.1 texture{T_Steel}}
cylinder{y*1.6,y*1.8,.02 texture{T_Black}}
sphere{0,.1 scale <1,2.2,1> translate y*1.95 texture{T_Flame}}
light_source{<0,2.0,0> rgb <.6,.42,.2> fade_distance 1 fade_power 2 shadowless}
"""
BRIGHT = tuple(colour for colour in ANY if colour != "brown")
WOODS = ("brown", "white", "red", "blue", "green", "black", "yellow")

HOME = [
    Thing(
        "mug",
        "mug",
        "kitchen",
        MUG,
        BRIGHT,
        ("ceramic",),
        ("cup", "coffee mug", "tea cup"),
        8.0,
        turn=(-40, 40),
    ),
    Thing(
        "teapot",
        "teapot",
        "kitchen",
        TEAPOT,
        BRIGHT,
        ("ceramic", "metal"),
        ("tea pot", "pot of tea", "kettle"),
        28.0,
    ),
    Thing("vase", "vase", "home", VASE, BRIGHT, ("ceramic", "glass"), ("flower vase", "urn"), 26.0),
    Thing(
        "bottle",
        "bottle",
        "kitchen",
        BOTTLE,
        ("green", "blue", "brown", "red", "purple", "turquoise"),
        ("glass",),
        ("corked bottle", "flask"),
        11.0,
        scale=0.95,
    ),
    Thing(
        "wineglass",
        "wine glass",
        "kitchen",
        GLASS,
        ("blue", "green", "pink", "red", "purple", "turquoise"),
        ("glass",),
        ("goblet", "drinking glass", "stemmed glass"),
        9.5,
        phrase="{colour} {noun}",
        scale=0.98,
    ),
    Thing(
        "bowl",
        "bowl",
        "kitchen",
        BOWL,
        BRIGHT,
        ("ceramic", "wooden"),
        ("soup bowl", "dish"),
        13.0,
        scale=1.15,
        aim=0.6,
    ),
    Thing(
        "plate",
        "plate",
        "kitchen",
        PLATE,
        BRIGHT,
        ("ceramic",),
        ("dinner plate", "flat dish"),
        7.5,
        scale=1.05,
        aim=0.3,
    ),
    Thing(
        "chair",
        "chair",
        "furniture",
        CHAIR,
        WOODS,
        ("wooden",),
        ("seat", "dining chair"),
        59.0,
        turn=(-50, 50),
        scale=0.95,
    ),
    Thing(
        "table", "table", "furniture", TABLE, WOODS, ("wooden",), ("desk", "dining table"), 149.0
    ),
    Thing(
        "stool",
        "stool",
        "furniture",
        STOOL,
        WOODS,
        ("wooden",),
        ("bar stool", "three-legged stool"),
        35.0,
    ),
    Thing(
        "sofa",
        "sofa",
        "furniture",
        SOFA,
        ANY,
        ("fabric", "leather"),
        ("couch", "settee"),
        499.0,
        aim=0.8,
    ),
    Thing(
        "bed",
        "bed",
        "furniture",
        BED,
        ("red", "blue", "green", "yellow", "purple", "pink", "orange", "turquoise"),
        ("fabric",),
        ("bedroom bed", "single bed"),
        329.0,
        phrase="{noun} with a {colour} blanket",
        short="{noun} with {colour} blanket",
        turn=(-45, -15),
        aim=0.7,
    ),
    Thing(
        "lamp",
        "table lamp",
        "home",
        LAMP,
        BRIGHT,
        ("fabric",),
        ("lamp", "desk light", "bedside lamp"),
        39.0,
        phrase="{noun} with a {colour} shade",
        short="{colour} {noun}",
    ),
    Thing(
        "clock",
        "clock",
        "home",
        CLOCK,
        ANY,
        ("plastic", "metal", "wooden"),
        ("timepiece", "desk clock"),
        21.0,
        turn=(-30, 30),
    ),
    Thing(
        "candle",
        "candle",
        "home",
        CANDLE,
        ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white"),
        ("wax",),
        ("burning candle", "wax candle", "candlelight"),
        4.5,
        phrase="burning {colour} {noun}",
    ),
]
