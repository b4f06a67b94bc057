from enum import Enum
class Corner(str, Enum):
    TOP_LEFT = "top-left"
class Legend:
    def __init__(self,*a): pass
    def draw(self,*a): pass
