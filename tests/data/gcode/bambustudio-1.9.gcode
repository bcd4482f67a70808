; HEADER_BLOCK_START
; BambuStudio 01.09.07.52
; model printing time: 16m 59s; total estimated time: 22m 46s
; total layer number: 35
; total filament length [mm] : 3969.34,100.50
; total filament volume [cm^3] : 9547.38,241.73
; total filament weight [g] : 12.03,0.30
; filament_density: 1.26,1.24
; filament_diameter: 1.75,1.75
; max_z_height: 7.00
; HEADER_BLOCK_END

; CONFIG_BLOCK_START
; chamber_temperatures = 0,0
; curr_bed_type = Textured PEI Plate
; extruder_colour = #018001
; filament_colour = #FECC66;#FFFFFF
; filament_settings_id = "Bambu PLA Basic @BBL X1C";"Generic PLA; matte"
; filament_type = PLA;PLA
; hot_plate_temp = 55,55
; hot_plate_temp_initial_layer = 60,60
; initial_layer_print_height = 0.25
; layer_height = 0.2
; nozzle_diameter = 0.4
; nozzle_temperature = 220,215
; nozzle_temperature_initial_layer = 225,220
; printer_model = Bambu Lab X1 Carbon
; printer_variant = 0.4
; single_extruder_multi_material = 1
; CONFIG_BLOCK_END

; EXECUTABLE_BLOCK_START
M73 P0 R22
M201 X20000 Y20000 Z500 E20000
; FEATURE: Custom
M104 S225
M140 S60
G28
; CHANGE_LAYER
; Z_HEIGHT: 0.25
; LAYER_HEIGHT: 0.25
G1 Z.25 F1000
G1 X10 Y10 E1 F3000
; CHANGE_LAYER
; Z_HEIGHT: 7
G1 Z7
G1 X20 Y10 E1 F3000
G1 Z57 F900 ; lower z a little
M104 S0
M140 S0
; EXECUTABLE_BLOCK_END
